public import AngelCheckpoint
import AngelCore
import AngelNN

extension Olmo2Model {
  public static func configuration(of checkpoint: Checkpoint) throws -> Olmo2Configuration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint))
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "olmo2."), checkpoint)
      }
    try configuration.check(path: checkpoint.path)
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields) throws -> Olmo2Configuration {
    var result = Olmo2Configuration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20)
    result.layerCount = try fields.integer("num_hidden_layers", in: 1...4096)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("num_key_value_heads", in: 1...65_536, default: result.headCount)
    result.headSize = try fields.integer(
      "head_dim", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    result.innerSize = try fields.integer("intermediate_size", in: 1...1 << 24)
    result.contextLength = try fields.integer("max_position_embeddings", default: 2048)
    result.normEpsilon = try fields.float("rms_norm_eps", default: 1e-5)
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.huggingFace(
      fields, size: result.headSize, contextLength: result.contextLength)
    // Dynamic scaling is made for texts longer than the length in the file.
    if case .dynamic(let factor, let original) = result.rotaryScaling {
      result.contextLength = Int(min(Float(original) * max(factor, 1), Float(1 << 31)))
    }
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: false)
    result.usesAttentionBias = try fields.bool("attention_bias", default: false)
    if let activation = fields["hidden_act"], activation != "silu" {
      throw fields.wrong("hidden_act", activation, "\"silu\"")
    }
    return result
  }

  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> Olmo2Configuration {
    var result = Olmo2Configuration()
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
    // OLMo 3 shares the name there.
    let window = try fields.integer("attention.sliding_window", in: 0...1 << 31, default: 0)
    guard window == 0 else {
      throw fields.wrong("attention.sliding_window", .integer(window), "none: OLMo 3 is not supported yet")
    }
    return result
  }

  public static func names(for configuration: Olmo2Configuration) -> NameTable {
    NameTable([
      .init("embedding.weight", huggingFace: "model.embed_tokens.weight", gguf: "token_embd.weight"),
      .init("norm.weight", huggingFace: "model.norm.weight", gguf: "output_norm.weight"),
      .init("head.weight", huggingFace: "lm_head.weight", gguf: "output.weight"),
      block("postAttentionNorm.weight", "post_attention_layernorm.weight", "post_attention_norm.weight"),
      block("attention.query.weight", "self_attn.q_proj.weight", "attn_q.weight"),
      block("attention.query.bias", "self_attn.q_proj.bias", "attn_q.bias"),
      block("attention.key.weight", "self_attn.k_proj.weight", "attn_k.weight"),
      block("attention.key.bias", "self_attn.k_proj.bias", "attn_k.bias"),
      block("attention.value.weight", "self_attn.v_proj.weight", "attn_v.weight"),
      block("attention.value.bias", "self_attn.v_proj.bias", "attn_v.bias"),
      block("attention.output.weight", "self_attn.o_proj.weight", "attn_output.weight"),
      block("attention.output.bias", "self_attn.o_proj.bias", "attn_output.bias"),
      block("attention.queryNorm.weight", "self_attn.q_norm.weight", "attn_q_norm.weight"),
      block("attention.keyNorm.weight", "self_attn.k_norm.weight", "attn_k_norm.weight"),
      block("postFeedForwardNorm.weight", "post_feedforward_layernorm.weight", "post_ffw_norm.weight"),
      block("feedForward.gate.weight", "mlp.gate_proj.weight", "ffn_gate.weight"),
      block("feedForward.up.weight", "mlp.up_proj.weight", "ffn_up.weight"),
      block("feedForward.down.weight", "mlp.down_proj.weight", "ffn_down.weight"),
    ])
  }

  private static func block(_ path: String, _ huggingFace: String, _ gguf: String) -> NameTable.Entry {
    .init("blocks.*." + path, huggingFace: "model.layers.*." + huggingFace, gguf: "blk.*." + gguf)
  }
}

extension Olmo2Configuration: RotaryDecoderConfiguration {}
