import AngelCheckpoint
public import AngelCore
import AngelNN

extension Qwen3Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Qwen3Configuration) throws -> JSONObject {
    let c = configuration
    return JSONObject([
      ("architectures", ["Qwen3ForCausalLM"]), ("model_type", "qwen3"), ("vocab_size", .integer(c.vocabularySize)),
      ("hidden_size", .integer(c.hiddenSize)), ("intermediate_size", .integer(c.innerSize)),
      ("num_hidden_layers", .integer(c.layerCount)), ("num_attention_heads", .integer(c.headCount)),
      ("num_key_value_heads", .integer(c.keyValueHeadCount)), ("head_dim", .integer(c.headSize)),
      ("hidden_act", "silu"), ("max_position_embeddings", .integer(c.contextLength)),
      ("rms_norm_eps", .float(c.normEpsilon)), ("rope_theta", .float(c.rotaryBase)),
      ("rope_scaling", c.rotaryScaling.huggingFaceFields(contextLength: c.contextLength)),
      ("attention_bias", .bool(c.usesAttentionBias)), ("use_sliding_window", false),
      ("tie_word_embeddings", .bool(c.tiesEmbeddings)),
    ])
  }

  public static func ggufFields(of configuration: Qwen3Configuration) throws -> GGUFFields {
    let c = configuration
    var fields = GGUFFields(
      architecture: "qwen3",
      metadata: [
        ("context_length", .size(c.contextLength)), ("embedding_length", .size(c.hiddenSize)),
        ("block_count", .size(c.layerCount)), ("feed_forward_length", .size(c.innerSize)),
        ("attention.head_count", .size(c.headCount)), ("attention.head_count_kv", .size(c.keyValueHeadCount)),
        ("attention.key_length", .size(c.headSize)), ("attention.value_length", .size(c.headSize)),
        ("attention.layer_norm_rms_epsilon", .float32(c.normEpsilon)),
      ])
    try c.rotaryScaling.write(to: &fields, size: c.headSize, base: c.rotaryBase)
    return fields
  }
}
