public import AngelCheckpoint
import AngelCore
import AngelNN

extension Phi3Model {
  public static func configuration(of checkpoint: Checkpoint) throws -> Phi3Configuration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint))
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "phi3."), checkpoint)
      }
    try configuration.check(path: checkpoint.path)
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields) throws -> Phi3Configuration {
    var result = Phi3Configuration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20)
    result.layerCount = try fields.integer("num_hidden_layers", in: 1...4096)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536)
    result.keyValueHeadCount = try fields.integer("num_key_value_heads", in: 1...65_536, default: result.headCount)
    result.headSize = try fields.integer(
      "head_dim", in: 1...4096, default: max(1, result.hiddenSize / result.headCount))
    result.innerSize = try fields.integer("intermediate_size", in: 1...1 << 24)
    result.contextLength = try fields.integer("max_position_embeddings", default: 4096)
    result.window = try fields.integerOrNull("sliding_window", default: nil) ?? 0
    result.normEpsilon = try fields.float("rms_norm_eps", default: 1e-5)
    let nested = try fields.fields("rope_parameters")
    let factor =
      try nested?.float("partial_rotary_factor", default: 1) ?? fields.float("partial_rotary_factor", default: 1)
    guard factor > 0, factor <= 1, Int(factor * Float(result.headSize)) > 0 else {
      throw fields.wrong("partial_rotary_factor", .number(Double(factor)), "a share of the head, up to 1")
    }
    result.rotatedSize = Int(factor * Float(result.headSize))
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.huggingFace(
      fields, size: result.rotatedSize, contextLength: result.contextLength)
    switch result.rotaryScaling {
    case .none, .longRope: break
    default:
      throw fields.wrong("rope_scaling", fields["rope_scaling"] ?? .null, "null or longrope, as this family has it")
    }
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: false)
    if let activation = fields["hidden_act"], activation != "silu" {
      throw fields.wrong("hidden_act", activation, "\"silu\"")
    }
    return result
  }

  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> Phi3Configuration {
    var result = Phi3Configuration()
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
    result.window = try fields.integer("attention.sliding_window", in: 0...1 << 31, default: 0)
    result.normEpsilon = try fields.float("attention.layer_norm_rms_epsilon")
    (result.rotaryBase, result.rotaryScaling) = try RotaryScaling.gguf(
      fields, checkpoint, size: result.rotatedSize, contextLength: result.contextLength)
    return result
  }

  /// Queries, keys and values are one tensor in files, and so are gate and up.
  public static func names(for configuration: Phi3Configuration) -> NameTable {
    let query = configuration.headCount * configuration.headSize
    let key = configuration.keyValueHeadCount * configuration.headSize
    func attention(_ name: String, from row: Int) -> NameTable.Entry {
      block(
        "attention.\(name).weight", "self_attn.qkv_proj.weight", "attn_qkv.weight",
        .rows(from: row, of: query + 2 * key))
    }
    return NameTable([
      .init("embedding.weight", huggingFace: "model.embed_tokens.weight", gguf: "token_embd.weight"),
      .init("norm.weight", huggingFace: "model.norm.weight", gguf: "output_norm.weight"),
      .init("head.weight", huggingFace: "lm_head.weight", gguf: "output.weight"),
      block("attentionNorm.weight", "input_layernorm.weight", "attn_norm.weight"),
      attention("query", from: 0),
      attention("key", from: query),
      attention("value", from: query + key),
      block("attention.output.weight", "self_attn.o_proj.weight", "attn_output.weight"),
      block("feedForwardNorm.weight", "post_attention_layernorm.weight", "ffn_norm.weight"),
      block("feedForward.gate.weight", "mlp.gate_up_proj.weight", "ffn_up.weight", .share(0, of: 2)),
      block("feedForward.up.weight", "mlp.gate_up_proj.weight", "ffn_up.weight", .share(1, of: 2)),
      block("feedForward.down.weight", "mlp.down_proj.weight", "ffn_down.weight"),
    ])
  }

  private static func block(
    _ path: String, _ huggingFace: String, _ gguf: String, _ form: StoredForm = .plain
  ) -> NameTable.Entry {
    .init(
      "blocks.*." + path, huggingFace: "model.layers.*." + huggingFace, gguf: "blk.*." + gguf, huggingFaceForm: form,
      ggufForm: form)
  }
}

extension Phi3Configuration: DecoderConfiguration {
  var rotations: [RotaryEmbedding] { [rotary] }
}
