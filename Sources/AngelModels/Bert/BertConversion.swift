public import AngelCheckpoint
public import AngelCore

extension BertModel: ConvertibleModel {
  public static func huggingFaceFields(of configuration: BertConfiguration) -> JSONObject {
    let c = configuration
    return JSONObject([
      ("architectures", ["BertModel"]), ("model_type", "bert"), ("vocab_size", .integer(c.vocabularySize)),
      ("hidden_size", .integer(c.hiddenSize)), ("num_hidden_layers", .integer(c.layerCount)),
      ("num_attention_heads", .integer(c.headCount)), ("intermediate_size", .integer(c.innerSize)),
      ("hidden_act", "gelu"), ("max_position_embeddings", .integer(c.contextLength)),
      ("type_vocab_size", .integer(c.tokenTypeCount)), ("layer_norm_eps", .float(c.normEpsilon)),
      ("position_embedding_type", "absolute"),
    ])
  }

  public static func ggufFields(of configuration: BertConfiguration) -> GGUFFields {
    let c = configuration
    return GGUFFields(
      architecture: "bert",
      metadata: [
        ("vocab_size", .size(c.vocabularySize)), ("context_length", .size(c.contextLength)),
        ("embedding_length", .size(c.hiddenSize)), ("block_count", .size(c.layerCount)),
        ("feed_forward_length", .size(c.innerSize)), ("attention.head_count", .size(c.headCount)),
        ("attention.layer_norm_epsilon", .float32(c.normEpsilon)), ("attention.causal", .bool(false)),
      ])
  }

  public static func documents(of checkpoint: Checkpoint) throws -> [(name: String, json: JSONValue)] {
    try checkpoint.sentencePooling().documents(width: configuration(of: checkpoint).hiddenSize)
  }

  public static func ggufMetadata(of checkpoint: Checkpoint) throws -> [(key: String, value: GGUFValue)] {
    let types = try configuration(of: checkpoint).tokenTypeCount
    return try checkpoint.sentencePooling().ggufMetadata("bert")
      + [("tokenizer.ggml.token_type_count", .size(types))]
  }
}
