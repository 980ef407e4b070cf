public import AngelCheckpoint
import AngelCore
import AngelNN

extension GPT2Model {
  public static func configuration(of checkpoint: Checkpoint) throws -> GPT2Configuration {
    var configuration =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint), checkpoint)
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "gpt2."), checkpoint)
      }
    guard configuration.hiddenSize % configuration.headCount == 0 else {
      throw ModelError.invalid(
        field: "the number of heads", value: "\(configuration.headCount)",
        rule: "it must divide \(configuration.hiddenSize)", path: checkpoint.path)
    }
    try configuration.check(path: checkpoint.path)
    let names = Self.names(for: configuration)
    configuration.tiesEmbeddings = try names.tiesHead(in: checkpoint, declared: configuration.tiesEmbeddings)
    return configuration
  }

  private static func huggingFace(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> GPT2Configuration {
    var result = GPT2Configuration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24)
    result.hiddenSize = try fields.integer("n_embd", in: 1...1 << 20)
    result.layerCount = try fields.integer("n_layer", in: 1...4096)
    result.headCount = try fields.integer("n_head", in: 1...65_536)
    result.innerSize = try fields.integer("n_inner", in: 1...1 << 24, default: 4 * result.hiddenSize)
    result.contextLength = try fields.integer("n_positions", in: 1...1 << 24, default: 1024)
    result.normEpsilon = try fields.float("layer_norm_epsilon", default: 1e-5)
    result.usesExactGELU = try fields.gelu("activation_function", default: .tanh) == .erf
    result.scalesByHeadSize = try fields.bool("scale_attn_weights", default: true)
    result.scalesByLayer = try fields.bool("scale_attn_by_inverse_layer_idx", default: false)
    result.tiesEmbeddings = try fields.bool("tie_word_embeddings", default: true)
    result.namePrefix = checkpoint.contains("wte.weight") ? "" : "transformer."
    if try fields.bool("add_cross_attention", default: false) {
      throw fields.wrong("add_cross_attention", true, "false: there is no encoder to attend to")
    }
    return result
  }

  private static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint) throws -> GPT2Configuration {
    var result = GPT2Configuration()
    result.vocabularySize = try checkpoint.rowCount(of: "token_embd.weight")
    result.tiesEmbeddings = false
    result.hiddenSize = try fields.integer("embedding_length", in: 1...1 << 20)
    result.layerCount = try fields.integer("block_count", in: 1...4096)
    result.headCount = try fields.integer("attention.head_count", in: 1...65_536)
    result.innerSize = try fields.integer("feed_forward_length", in: 1...1 << 24)
    result.contextLength = try fields.integer("context_length", in: 1...1 << 24)
    result.normEpsilon = try fields.float("attention.layer_norm_epsilon")
    return result
  }

  /// Queries, keys and values are one tensor in files, and Hugging Face's weights are [inputs, outputs].
  public static func names(for configuration: GPT2Configuration) -> NameTable {
    let prefix = configuration.namePrefix
    func entry(_ path: String, _ huggingFace: String, _ gguf: String) -> NameTable.Entry {
      .init(path, huggingFace: prefix + huggingFace, gguf: gguf)
    }
    func norm(_ path: String, _ huggingFace: String, _ gguf: String) -> [NameTable.Entry] {
      ["weight", "bias"].map { entry("\(path).\($0)", "\(huggingFace).\($0)", "\(gguf).\($0)") }
    }
    func linear(_ path: String, _ huggingFace: String, _ gguf: String, share: Int = 0, of count: Int = 1)
      -> [NameTable.Entry]
    {
      ["weight", "bias"].map {
        .init(
          "blocks.*.\(path).\($0)", huggingFace: "\(prefix)h.*.\(huggingFace).\($0)", gguf: "blk.*.\(gguf).\($0)",
          huggingFaceForm: .share(share, of: count, isTransposed: $0 == "weight"), ggufForm: .share(share, of: count))
      }
    }
    let ends =
      [
        entry("embedding.weight", "wte.weight", "token_embd.weight"),
        entry("positions.weight", "wpe.weight", "position_embd.weight"),
        .init("head.weight", huggingFace: "lm_head.weight", gguf: "output.weight"),
      ] + norm("norm", "ln_f", "output_norm")
    let attention =
      linear("attention.query", "attn.c_attn", "attn_qkv", share: 0, of: 3)
      + linear("attention.key", "attn.c_attn", "attn_qkv", share: 1, of: 3)
      + linear("attention.value", "attn.c_attn", "attn_qkv", share: 2, of: 3)
      + linear("attention.output", "attn.c_proj", "attn_output")
    return NameTable(
      ends + norm("blocks.*.attentionNorm", "h.*.ln_1", "blk.*.attn_norm") + attention
        + norm("blocks.*.feedForwardNorm", "h.*.ln_2", "blk.*.ffn_norm")
        + linear("feedForward.up", "mlp.c_fc", "ffn_up") + linear("feedForward.down", "mlp.c_proj", "ffn_down"))
  }
}

extension GPT2Configuration: DecoderConfiguration {
  var rotations: [RotaryEmbedding] { [] }
}
