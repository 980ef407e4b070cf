public import AngelCheckpoint
import AngelCore
import AngelNN

extension BertModel {
  public static func configuration(of checkpoint: Checkpoint) throws -> BertConfiguration {
    let (result, fields) =
      switch checkpoint.layout {
      case .huggingFace: try huggingFace(ConfigurationFields(checkpoint), checkpoint)
      case .gguf: try gguf(ConfigurationFields(checkpoint, prefix: "bert."), checkpoint)
      }
    guard result.hiddenSize % result.headCount == 0, result.headSize <= 512 else {
      throw fields.wrong(
        checkpoint.layout == .gguf ? "attention.head_count" : "num_attention_heads", .integer(result.headCount),
        "a divisor of the hidden size, \(result.hiddenSize), that makes heads of at most 512")
    }
    guard result.normEpsilon >= 0 else {
      throw fields.wrong(
        checkpoint.layout == .gguf ? "attention.layer_norm_epsilon" : "layer_norm_eps",
        .number(Double(result.normEpsilon)), "0 or more")
    }
    return result
  }

  private static func huggingFace(
    _ fields: ConfigurationFields, _ checkpoint: Checkpoint
  ) throws -> (BertConfiguration, ConfigurationFields) {
    var result = BertConfiguration()
    result.vocabularySize = try fields.integer("vocab_size", in: 1...1 << 24, default: result.vocabularySize)
    result.hiddenSize = try fields.integer("hidden_size", in: 1...1 << 20, default: 768)
    result.layerCount = try fields.integer("num_hidden_layers", in: 1...4096, default: 12)
    result.headCount = try fields.integer("num_attention_heads", in: 1...65_536, default: 12)
    result.innerSize = try fields.integer("intermediate_size", in: 1...1 << 24, default: 3072)
    result.contextLength = try fields.integer("max_position_embeddings", in: 1...1 << 24, default: 512)
    result.tokenTypeCount = try fields.integer("type_vocab_size", in: 1...1 << 16, default: 2)
    result.normEpsilon = try fields.float("layer_norm_eps", default: 1e-12)
    try refuseUnsupported(fields)
    let prefix = "bert."
    if checkpoint.contains(prefix + "embeddings.word_embeddings.weight") { result.namePrefix = prefix }
    return (result, fields)
  }

  /// Keys as llama.cpp's converter has them.
  private static func gguf(
    _ fields: ConfigurationFields, _ checkpoint: Checkpoint
  ) throws -> (BertConfiguration, ConfigurationFields) {
    var result = BertConfiguration()
    result.vocabularySize = try checkpoint.rowCount(of: "token_embd.weight")
    result.hiddenSize = try fields.integer("embedding_length", in: 1...1 << 20)
    result.layerCount = try fields.integer("block_count", in: 1...4096)
    result.headCount = try fields.integer("attention.head_count", in: 1...65_536)
    result.innerSize = try fields.integer("feed_forward_length", in: 1...1 << 24)
    result.contextLength = try fields.integer("context_length", in: 1...1 << 24)
    result.tokenTypeCount = try checkpoint.rowCount(of: "token_types.weight")
    result.normEpsilon = try fields.float("attention.layer_norm_epsilon")
    if try fields.bool("attention.causal", default: false) {
      throw fields.wrong("attention.causal", true, "false: only encoders are supported")
    }
    return (result, fields)
  }

  private static func refuseUnsupported(_ fields: ConfigurationFields) throws {
    if let activation = fields["hidden_act"], activation != "gelu" {
      throw fields.wrong("hidden_act", activation, "\"gelu\"")
    }
    if let positions = fields["position_embedding_type"], positions != "absolute" {
      throw fields.wrong("position_embedding_type", positions, "\"absolute\"")
    }
    if try fields.bool("is_decoder", default: false) {
      throw fields.wrong("is_decoder", true, "false: only encoders are supported")
    }
  }

  public static func names(for configuration: BertConfiguration) -> NameTable {
    let prefix = configuration.namePrefix
    func whole(_ path: String, _ huggingFace: String, _ gguf: String) -> NameTable.Entry {
      .init("embedding." + path, huggingFace: prefix + "embeddings." + huggingFace, gguf: gguf)
    }
    func block(_ path: String, _ huggingFace: String, _ gguf: String) -> NameTable.Entry {
      .init("blocks.*." + path, huggingFace: prefix + "encoder.layer.*." + huggingFace, gguf: "blk.*." + gguf)
    }
    func both(_ path: String, _ huggingFace: String, _ gguf: String) -> [NameTable.Entry] {
      ["weight", "bias"].map { block("\(path).\($0)", "\(huggingFace).\($0)", "\(gguf).\($0)") }
    }
    return NameTable(
      [
        whole("words.weight", "word_embeddings.weight", "token_embd.weight"),
        whole("positions.weight", "position_embeddings.weight", "position_embd.weight"),
        whole("types.weight", "token_type_embeddings.weight", "token_types.weight"),
        whole("norm.weight", "LayerNorm.weight", "token_embd_norm.weight"),
        whole("norm.bias", "LayerNorm.bias", "token_embd_norm.bias"),
      ] + both("attention.query", "attention.self.query", "attn_q")
        + both("attention.key", "attention.self.key", "attn_k")
        + both("attention.value", "attention.self.value", "attn_v")
        + both("attention.output", "attention.output.dense", "attn_output")
        + both("attentionNorm", "attention.output.LayerNorm", "attn_output_norm")
        + both("feedForward.up", "intermediate.dense", "ffn_up")
        + both("feedForward.down", "output.dense", "ffn_down")
        + both("feedForwardNorm", "output.LayerNorm", "layer_output_norm"))
  }
}
