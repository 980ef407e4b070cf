public import AngelCheckpoint
import AngelCore
import AngelNN

extension HunyuanDenseModel {
  public static func configuration(of checkpoint: Checkpoint) throws -> HunyuanDenseConfiguration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint))
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "hunyuan-dense."), checkpoint)
      }
    try configuration.check(path: checkpoint.path)
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields) throws -> HunyuanDenseConfiguration {
    var result = HunyuanDenseConfiguration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20)
    result.layerCount = try fields.integer("num_hidden_layers", in: 1...4096)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("num_key_value_heads", in: 1...65_536, default: result.headCount)
    let headSize = fields["head_dim"] != nil ? "head_dim" : "attention_head_dim"
    result.headSize = try fields.integer(
      headSize, in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    result.innerSize = try sameForAll("intermediate_size", in: 1...1 << 24, fields, layerCount: result.layerCount)
    result.contextLength = try fields.integer("max_position_embeddings", default: 2048)
    result.normEpsilon = try fields.float("rms_norm_eps", default: 1e-5)
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.hunyuan(
      fields, size: result.headSize, contextLength: result.contextLength)
    // Dynamic scaling is made for texts longer than the length in the file.
    if case .dynamic(let factor, let original) = result.rotaryScaling {
      result.contextLength = Int(min(Float(original) * max(factor, 1), Float(1 << 31)))
    }
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: false)
    result.usesAttentionBias = try fields.bool("attention_bias", default: false)
    try refuseUnsupported(fields, layerCount: result.layerCount)
    return result
  }

  /// A size that the family's files write as one number or as a list with one for every layer, here all alike.
  private static func sameForAll(
    _ key: String, in range: ClosedRange<Int>, _ fields: ConfigurationFields, layerCount: Int,
    default fallback: Int? = nil
  ) throws -> Int {
    let sizes = try fields.integers(key, in: range, count: layerCount, default: fallback)
    guard let first = sizes.first, sizes.allSatisfy({ $0 == first }) else {
      throw fields.wrong(key, fields[key] ?? .null, "the same number for every layer")
    }
    return first
  }

  /// Parts of the family's code that its dense models leave switched off.
  private static func refuseUnsupported(_ fields: ConfigurationFields, layerCount: Int) throws {
    for key in ["use_cla", "use_mla", "mlp_bias"] where try fields.bool(key, default: false) {
      throw fields.wrong(key, true, "false: the dense models have none")
    }
    guard try fields.bool("use_qk_norm", default: true) else {
      throw fields.wrong("use_qk_norm", false, "true: Hunyuan models normalise queries and keys")
    }
    guard try sameForAll("num_experts", in: 0...65_536, fields, layerCount: layerCount, default: 1) <= 1 else {
      throw fields.wrong("num_experts", fields["num_experts"] ?? .null, "1: model_type hunyuan_v1_moe has experts")
    }
    if let activation = fields["hidden_act"], activation != "silu" {
      throw fields.wrong("hidden_act", activation, "\"silu\"")
    }
  }

  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> HunyuanDenseConfiguration
  {
    var result = HunyuanDenseConfiguration()
    result.vocabularySize = try checkpoint.rowCount(of: "token_embd.weight")
    result.tiesEmbeddings = false
    result.hiddenSize = try fields.integer("embedding_length", in: 1...1 << 20)
    result.layerCount = try fields.integer("block_count", in: 1...4096)
    result.headCount = try fields.integer("attention.head_count", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("attention.head_count_kv", in: 1...65_536, default: result.headCount)
    result.headSize = try fields.integer(
      "attention.key_length", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    result.innerSize = try fields.integer("feed_forward_length", in: 1...1 << 24)
    result.contextLength = try fields.integer("context_length")
    result.normEpsilon = try fields.float("attention.layer_norm_rms_epsilon")
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.gguf(
      fields, checkpoint, size: result.headSize, contextLength: result.contextLength)
    result.usesAttentionBias = checkpoint.contains("blk.0.attn_q.bias")
    return result
  }

  public static func names(for configuration: HunyuanDenseConfiguration) -> NameTable {
    NameTable([
      .init("embedding.weight", huggingFace: "model.embed_tokens.weight", gguf: "token_embd.weight"),
      .init("norm.weight", huggingFace: "model.norm.weight", gguf: "output_norm.weight"),
      .init("head.weight", huggingFace: "lm_head.weight", gguf: "output.weight"),
      block("attentionNorm.weight", "input_layernorm.weight", "attn_norm.weight"),
      block("attention.query.weight", "self_attn.q_proj.weight", "attn_q.weight"),
      block("attention.query.bias", "self_attn.q_proj.bias", "attn_q.bias"),
      block("attention.key.weight", "self_attn.k_proj.weight", "attn_k.weight"),
      block("attention.key.bias", "self_attn.k_proj.bias", "attn_k.bias"),
      block("attention.value.weight", "self_attn.v_proj.weight", "attn_v.weight"),
      block("attention.value.bias", "self_attn.v_proj.bias", "attn_v.bias"),
      block("attention.output.weight", "self_attn.o_proj.weight", "attn_output.weight"),
      block("attention.output.bias", "self_attn.o_proj.bias", "attn_output.bias"),
      block("attention.queryNorm.weight", "self_attn.query_layernorm.weight", "attn_q_norm.weight"),
      block("attention.keyNorm.weight", "self_attn.key_layernorm.weight", "attn_k_norm.weight"),
      block("feedForwardNorm.weight", "post_attention_layernorm.weight", "ffn_norm.weight"),
      block("feedForward.gate.weight", "mlp.gate_proj.weight", "ffn_gate.weight"),
      block("feedForward.up.weight", "mlp.up_proj.weight", "ffn_up.weight"),
      block("feedForward.down.weight", "mlp.down_proj.weight", "ffn_down.weight"),
    ])
  }

  private static func block(_ path: String, _ huggingFace: String, _ gguf: String) -> NameTable.Entry {
    .init("blocks.*." + path, huggingFace: "model.layers.*." + huggingFace, gguf: "blk.*." + gguf)
  }
}

extension HunyuanDenseConfiguration: RotaryDecoderConfiguration {}
