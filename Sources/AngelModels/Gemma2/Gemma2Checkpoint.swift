public import AngelCheckpoint
import AngelCore
import AngelNN

extension Gemma2Model {
  public static func configuration(of checkpoint: Checkpoint) throws -> Gemma2Configuration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint))
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "gemma2."), checkpoint)
      }
    try configuration.check(path: checkpoint.path)
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields) throws -> Gemma2Configuration {
    var result = Gemma2Configuration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20)
    result.layerCount = try fields.integer("num_hidden_layers", in: 1...4096)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536, default: 8)
    result.keyValueHeadCount = try fields.integer("num_key_value_heads", in: 1...65_536, default: 4)
    result.headSize = try fields.integer("head_dim", in: 1...4096, default: 256)
    result.queryScalar = try fields.positive("query_pre_attn_scalar", default: 256)
    result.innerSize = try fields.integer("intermediate_size", in: 1...1 << 24)
    result.contextLength = try fields.integer("max_position_embeddings", default: 8192)
    result.normEpsilon = try fields.float("rms_norm_eps", default: 1e-6)
    result.localLayers = try fields.slidingLayers(count: result.layerCount) { $0 % 2 == 0 }
    result.window = try fields.integer("sliding_window", default: 4096)
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.huggingFace(
      fields, size: result.headSize, contextLength: result.contextLength)
    // Dynamic scaling is made for texts longer than the length in the file.
    if case .dynamic(let factor, let original) = result.rotaryScaling {
      result.contextLength = Int(min(Float(original) * max(factor, 1), Float(1 << 31)))
    }
    result.scoreSoftCap = try cap("attn_logit_softcapping", default: 50, fields)
    result.logitSoftCap = try cap("final_logit_softcapping", default: 30, fields)
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: true)
    result.usesAttentionBias = try fields.bool("attention_bias", default: false)
    result.usesExactGELU = try fields.gelu("hidden_activation", default: .tanh) == .erf
    if try fields.bool("use_bidirectional_attention", default: false) {
      throw fields.wrong(
        "use_bidirectional_attention", true, "false: embedding models of this family are not supported")
    }
    return result
  }

  /// A cap, 0 where the file says null.
  private static func cap(_ key: String, default fallback: Float, _ fields: ConfigurationFields) throws -> Float {
    fields.isNull(key) ? 0 : try fields.positive(key, default: fallback)
  }

  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> Gemma2Configuration {
    var result = Gemma2Configuration()
    result.vocabularySize = try checkpoint.rowCount(of: "token_embd.weight")
    result.tiesEmbeddings = false
    result.hiddenSize = try fields.integer("embedding_length", in: 1...1 << 20)
    result.layerCount = try fields.integer("block_count", in: 1...4096)
    result.headCount = try fields.integer("attention.head_count", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("attention.head_count_kv", in: 1...65_536, default: result.headCount)
    result.headSize = try fields.integer(
      "attention.key_length", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    // The format has no field for it: of the published models only the 27B, with 46 layers, divides by another number.
    result.queryScalar = Float(
      result.layerCount == 46 ? max(1, result.hiddenSize / result.headCount) : result.headSize)
    result.innerSize = try fields.integer("feed_forward_length", in: 1...1 << 24)
    result.contextLength = try fields.integer("context_length")
    result.normEpsilon = try fields.float("attention.layer_norm_rms_epsilon")
    result.window = try fields.integer("attention.sliding_window", default: 4096)
    let pattern = try fields.integer("attention.sliding_window_pattern", in: 1...4096, default: 2)
    result.localLayers = (0..<result.layerCount).map { ($0 + 1) % pattern != 0 }
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.gguf(
      fields, checkpoint, size: result.headSize, contextLength: result.contextLength)
    result.scoreSoftCap = try cap("attn_logit_softcapping", default: 50, fields)
    result.logitSoftCap = try cap("final_logit_softcapping", default: 30, fields)
    result.usesAttentionBias = checkpoint.contains("blk.0.attn_q.bias")
    return result
  }

  /// Norms multiply by 1 + w: Hugging Face files hold w, GGUF files the sum.
  public static func names(for configuration: Gemma2Configuration) -> NameTable {
    NameTable([
      .init("embedding.weight", huggingFace: "model.embed_tokens.weight", gguf: "token_embd.weight"),
      .init(
        "norm.weight", huggingFace: "model.norm.weight", gguf: "output_norm.weight", huggingFaceForm: .lessOne),
      .init("head.weight", huggingFace: "lm_head.weight", gguf: "output.weight"),
      block("attentionNorm.weight", "input_layernorm.weight", "attn_norm.weight", .lessOne),
      block("attention.query.weight", "self_attn.q_proj.weight", "attn_q.weight"),
      block("attention.query.bias", "self_attn.q_proj.bias", "attn_q.bias"),
      block("attention.key.weight", "self_attn.k_proj.weight", "attn_k.weight"),
      block("attention.key.bias", "self_attn.k_proj.bias", "attn_k.bias"),
      block("attention.value.weight", "self_attn.v_proj.weight", "attn_v.weight"),
      block("attention.value.bias", "self_attn.v_proj.bias", "attn_v.bias"),
      block("attention.output.weight", "self_attn.o_proj.weight", "attn_output.weight"),
      block("attention.output.bias", "self_attn.o_proj.bias", "attn_output.bias"),
      block("postAttentionNorm.weight", "post_attention_layernorm.weight", "post_attention_norm.weight", .lessOne),
      block("feedForwardNorm.weight", "pre_feedforward_layernorm.weight", "ffn_norm.weight", .lessOne),
      block("feedForward.gate.weight", "mlp.gate_proj.weight", "ffn_gate.weight"),
      block("feedForward.up.weight", "mlp.up_proj.weight", "ffn_up.weight"),
      block("feedForward.down.weight", "mlp.down_proj.weight", "ffn_down.weight"),
      block("postFeedForwardNorm.weight", "post_feedforward_layernorm.weight", "post_ffw_norm.weight", .lessOne),
    ])
  }

  private static func block(
    _ path: String, _ huggingFace: String, _ gguf: String, _ form: StoredForm = .plain
  ) -> NameTable.Entry {
    .init(
      "blocks.*." + path, huggingFace: "model.layers.*." + huggingFace, gguf: "blk.*." + gguf, huggingFaceForm: form)
  }
}

extension Gemma2Configuration: RotaryDecoderConfiguration {}
