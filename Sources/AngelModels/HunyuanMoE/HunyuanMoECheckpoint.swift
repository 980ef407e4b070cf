public import AngelCheckpoint
import AngelCore
import AngelNN

extension HunyuanMoEModel {
  public static func configuration(of checkpoint: Checkpoint) throws -> HunyuanMoEConfiguration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint))
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "hunyuan-moe."), checkpoint)
      }
    try configuration.check(path: checkpoint.path)
    try MixtureOfExperts.Shape.check(configuration.experts, path: checkpoint.path)
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields) throws -> HunyuanMoEConfiguration {
    var result = HunyuanMoEConfiguration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("num_key_value_heads", in: 1...65_536, default: result.headCount)
    let derived = max(1, result.hiddenSize / result.headCount)
    let headSize = fields["head_dim"] != nil ? "head_dim" : "attention_head_dim"
    result.headSize = try fields.integer(headSize, in: 1...4096, default: derived)
    result.experts = try experts(fields)
    result.contextLength = try fields.integer("max_position_embeddings", default: 2048)
    result.normEpsilon = try fields.float("rms_norm_eps", default: 1e-5)
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.hunyuan(
      fields, size: result.headSize, contextLength: result.contextLength)
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: false)
    result.usesAttentionBias = try fields.bool("attention_bias", default: false)
    try refuseUnsupported(fields)
    return result
  }

  /// One shape a block. Each size is one number, or a list with one for every block.
  private static func experts(_ fields: ConfigurationFields) throws -> [MixtureOfExperts.Shape] {
    let layerCount = try fields.integer("num_hidden_layers", in: 1...4096)
    func sizes(_ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil) throws -> [Int] {
      try fields.integers(key, in: range, count: layerCount, default: fallback)
    }
    let inner = try fields.integer("intermediate_size", in: 1...1 << 24)
    // Releases write num_experts; transformers 5 also knows its own two names.
    let counts = try sizes(fields["num_experts"] != nil ? "num_experts" : "num_local_experts", in: 1...65_536)
    let used = try sizes(fields["moe_topk"] != nil ? "moe_topk" : "num_experts_per_tok", in: 1...65_536, default: 1)
    let inners = try sizes("moe_intermediate_size", in: 1...1 << 24, default: inner)
    let shared = try sizes("num_shared_expert", in: 0...256, default: 1)
    let hasShared = try fields.bool("use_mixed_mlp_moe", default: true)
    return (0..<layerCount).map { layer in
      MixtureOfExperts.Shape(
        expertCount: counts[layer], expertsPerToken: used[layer], innerSize: inners[layer],
        sharedInnerSize: hasShared ? inner * shared[layer] : 0)
    }
  }

  /// Parts of the family's code that its published first generation leaves switched off.
  private static func refuseUnsupported(_ fields: ConfigurationFields) throws {
    for key in ["use_cla", "use_mla"] where try fields.bool(key, default: false) {
      throw fields.wrong(key, true, "false: this kind of attention is not supported yet")
    }
    guard try fields.bool("use_qk_norm", default: true) else {
      throw fields.wrong("use_qk_norm", false, "true: Hunyuan models normalise queries and keys")
    }
    if try fields.integer("moe_layer_num_skipped", in: 0...4096, default: 0) > 0 {
      throw fields.wrong(
        "moe_layer_num_skipped", fields["moe_layer_num_skipped"] ?? .null, "0: every layer has experts")
    }
    if let activation = fields["hidden_act"], activation != "silu" {
      throw fields.wrong("hidden_act", activation, "\"silu\"")
    }
  }

  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> HunyuanMoEConfiguration {
    var result = HunyuanMoEConfiguration()
    result.vocabularySize = try checkpoint.rowCount(of: "token_embd.weight")
    result.tiesEmbeddings = false
    result.hiddenSize = try fields.integer("embedding_length", in: 1...1 << 20)
    result.headCount = try fields.integer("attention.head_count", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("attention.head_count_kv", in: 1...65_536, default: result.headCount)
    result.headSize = try fields.integer(
      "attention.key_length", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    let shape = MixtureOfExperts.Shape(
      expertCount: try fields.integer("expert_count", in: 1...65_536),
      expertsPerToken: try fields.integer("expert_used_count", in: 1...65_536),
      innerSize: try fields.integer("expert_feed_forward_length", in: 1...1 << 24))
    // The metadata has one length for all shared parts, and not how many experts it was multiplied by.
    result.experts = try (0..<fields.integer("block_count", in: 1...4096)).map { layer in
      var own = shape
      let shared = "blk.\(layer).ffn_gate_shexp.weight"
      if checkpoint.contains(shared) { own.sharedInnerSize = try checkpoint.rowCount(of: shared) }
      return own
    }
    result.contextLength = try fields.integer("context_length")
    result.normEpsilon = try fields.float("attention.layer_norm_rms_epsilon")
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.gguf(
      fields, checkpoint, size: result.headSize, contextLength: result.contextLength)
    result.usesAttentionBias = checkpoint.contains("blk.0.attn_q.bias")
    return result
  }

  public static func names(for configuration: HunyuanMoEConfiguration) -> NameTable {
    NameTable(
      [
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
        block("feedForward.router.weight", "mlp.gate.wg.weight", "ffn_gate_inp.weight"),
        block("feedForward.shared.gate.weight", "mlp.shared_mlp.gate_proj.weight", "ffn_gate_shexp.weight"),
        block("feedForward.shared.up.weight", "mlp.shared_mlp.up_proj.weight", "ffn_up_shexp.weight"),
        block("feedForward.shared.down.weight", "mlp.shared_mlp.down_proj.weight", "ffn_down_shexp.weight"),
      ] + NameTable.experts)
  }

  private static func block(_ path: String, _ huggingFace: String, _ gguf: String) -> NameTable.Entry {
    .init("blocks.*." + path, huggingFace: "model.layers.*." + huggingFace, gguf: "blk.*." + gguf)
  }
}

extension HunyuanMoEConfiguration: RotaryDecoderConfiguration {}
