import AngelCheckpoint
public import AngelCore

extension LlamaConfiguration: WrittenDecoder {}

extension LlamaModel: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: LlamaConfiguration) -> JSONObject {
    configuration.huggingFaceFields(
      "LlamaForCausalLM", type: "llama",
      [
        ("intermediate_size", .integer(configuration.innerSize)),
        ("attention_bias", .bool(configuration.usesAttentionBias)),
        ("mlp_bias", .bool(configuration.usesFeedForwardBias)),
      ])
  }

  public static func ggufFields(of configuration: LlamaConfiguration) throws -> GGUFFields {
    try configuration.ggufFields("llama", [("feed_forward_length", .size(configuration.innerSize))])
  }
}
