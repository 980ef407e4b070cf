public import AngelCheckpoint
import AngelCore
import AngelNN

extension GLM4Model {
  public static func configuration(of checkpoint: Checkpoint) throws -> GLM4Configuration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint))
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "glm4."), checkpoint)
      }
    try configuration.check(path: checkpoint.path)
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields) throws -> GLM4Configuration {
    var result = GLM4Configuration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20)
    result.layerCount = try fields.integer("num_hidden_layers", in: 1...4096)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("num_key_value_heads", in: 1...65_536, default: 2)
    result.headSize = try fields.integer("head_dim", in: 1...4096, default: 128)
    result.innerSize = try fields.integer("intermediate_size", in: 1...1 << 24)
    result.contextLength = try fields.integer("max_position_embeddings", default: 131_072)
    result.normEpsilon = try fields.float("rms_norm_eps", default: 1.5625e-7)
    let nested = try fields.fields("rope_parameters")
    let factor =
      try nested?["partial_rotary_factor"] != nil
      ? nested?.float("partial_rotary_factor") ?? 0.5 : fields.float("partial_rotary_factor", default: 0.5)
    guard factor > 0, factor <= 1, Int(factor * Float(result.headSize)) > 0 else {
      throw fields.wrong("partial_rotary_factor", .number(Double(factor)), "a share of the head, up to 1")
    }
    result.rotatedSize = Int(factor * Float(result.headSize))
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.huggingFace(
      fields, size: result.rotatedSize, contextLength: result.contextLength)
    // Dynamic scaling is made for texts longer than the length in the file.
    if case .dynamic(let factor, let original) = result.rotaryScaling {
      result.contextLength = Int(min(Float(original) * max(factor, 1), Float(1 << 31)))
    }
    result.usesAttentionBias = try fields.bool("attention_bias", default: true)
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: false)
    if let activation = fields["hidden_act"], activation != "silu" {
      throw fields.wrong("hidden_act", activation, "\"silu\"")
    }
    return result
  }

  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> GLM4Configuration {
    var result = GLM4Configuration()
    result.vocabularySize = try checkpoint.rowCount(of: "token_embd.weight")
    result.tiesEmbeddings = false
    result.hiddenSize = try fields.integer("embedding_length", in: 1...1 << 20)
    result.layerCount = try fields.integer("block_count", in: 1...4096)
    result.headCount = try fields.integer("attention.head_count", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("attention.head_count_kv", in: 1...65_536, default: result.headCount)
    result.headSize = try fields.integer(
      "attention.key_length", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    result.rotatedSize = try fields.integer("rope.dimension_count", in: 1...result.headSize, default: result.headSize)
    result.innerSize = try fields.integer("feed_forward_length", in: 1...1 << 24)
    result.contextLength = try fields.integer("context_length")
    result.usesAttentionBias = checkpoint.contains("blk.0.attn_q.bias")
    if let sections = fields["rope.dimension_sections"] {
      throw fields.wrong("rope.dimension_sections", sections, "none: models that see images are not supported yet")
    }
    result.normEpsilon = try fields.float("attention.layer_norm_rms_epsilon")
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.gguf(
      fields, checkpoint, size: result.rotatedSize, contextLength: result.contextLength)
    return result
  }

  /// Gate and up are one tensor in files, and what is rotated lies in pairs.
  public static func names(for configuration: GLM4Configuration) -> NameTable {
    let pairs = RowOrder.interleavedHalves(headSize: configuration.headSize, rotated: configuration.rotatedSize)
    return NameTable([
      .init("embedding.weight", huggingFace: "model.embed_tokens.weight", gguf: "token_embd.weight"),
      .init("norm.weight", huggingFace: "model.norm.weight", gguf: "output_norm.weight"),
      .init("head.weight", huggingFace: "lm_head.weight", gguf: "output.weight"),
      block("attentionNorm.weight", "input_layernorm.weight", "attn_norm.weight"),
      block("attention.query.weight", "self_attn.q_proj.weight", "attn_q.weight", pairs),
      block("attention.query.bias", "self_attn.q_proj.bias", "attn_q.bias", pairs),
      block("attention.key.weight", "self_attn.k_proj.weight", "attn_k.weight", pairs),
      block("attention.key.bias", "self_attn.k_proj.bias", "attn_k.bias", pairs),
      block("attention.value.weight", "self_attn.v_proj.weight", "attn_v.weight"),
      block("attention.value.bias", "self_attn.v_proj.bias", "attn_v.bias"),
      block("attention.output.weight", "self_attn.o_proj.weight", "attn_output.weight"),
      block("postAttentionNorm.weight", "post_self_attn_layernorm.weight", "post_attention_norm.weight"),
      block("feedForwardNorm.weight", "post_attention_layernorm.weight", "ffn_norm.weight"),
      block("feedForward.gate.weight", "mlp.gate_up_proj.weight", "ffn_up.weight", form: .share(0, of: 2)),
      block("feedForward.up.weight", "mlp.gate_up_proj.weight", "ffn_up.weight", form: .share(1, of: 2)),
      block("feedForward.down.weight", "mlp.down_proj.weight", "ffn_down.weight"),
      block("postFeedForwardNorm.weight", "post_mlp_layernorm.weight", "post_ffw_norm.weight"),
    ])
  }

  private static func block(
    _ path: String, _ huggingFace: String, _ gguf: String, _ rows: RowOrder = .identity, form: StoredForm = .plain
  ) -> NameTable.Entry {
    .init(
      "blocks.*." + path, huggingFace: "model.layers.*." + huggingFace, gguf: "blk.*." + gguf, huggingFaceRows: rows,
      ggufRows: rows, huggingFaceForm: form, ggufForm: form)
  }
}

extension GLM4Configuration: DecoderConfiguration {
  var rotations: [RotaryEmbedding] { [rotary] }
}
