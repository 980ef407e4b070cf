import AngelCheckpoint
public import AngelCore

extension GPT2Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: GPT2Configuration) -> JSONObject {
    let c = configuration
    return JSONObject([
      ("architectures", ["GPT2LMHeadModel"]), ("model_type", "gpt2"), ("vocab_size", .integer(c.vocabularySize)),
      ("n_embd", .integer(c.hiddenSize)), ("n_layer", .integer(c.layerCount)), ("n_head", .integer(c.headCount)),
      ("n_inner", .integer(c.innerSize)), ("n_positions", .integer(c.contextLength)),
      ("layer_norm_epsilon", .float(c.normEpsilon)),
      ("activation_function", c.usesExactGELU ? "gelu" : "gelu_new"),
      ("scale_attn_weights", .bool(c.scalesByHeadSize)),
      ("scale_attn_by_inverse_layer_idx", .bool(c.scalesByLayer)), ("tie_word_embeddings", .bool(c.tiesEmbeddings)),
    ])
  }

  public static func ggufFields(of configuration: GPT2Configuration) throws -> GGUFFields {
    let c = configuration
    guard !c.usesExactGELU, c.scalesByHeadSize, !c.scalesByLayer else {
      throw ConversionError.noWord(for: "GPT-2 with another activation or another scale of attention", in: .gguf)
    }
    return GGUFFields(
      architecture: "gpt2",
      metadata: [
        ("vocab_size", .size(c.vocabularySize)), ("context_length", .size(c.contextLength)),
        ("embedding_length", .size(c.hiddenSize)), ("block_count", .size(c.layerCount)),
        ("feed_forward_length", .size(c.innerSize)), ("attention.head_count", .size(c.headCount)),
        ("attention.layer_norm_epsilon", .float32(c.normEpsilon)),
      ])
  }
}
