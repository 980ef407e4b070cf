import AngelCheckpoint
public import AngelCore

extension Qwen3Configuration: WrittenDecoder {}

extension Qwen3Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Qwen3Configuration) -> JSONObject {
    configuration.huggingFaceFields(
      "Qwen3ForCausalLM", type: "qwen3",
      [
        ("intermediate_size", .integer(configuration.innerSize)),
        ("attention_bias", .bool(configuration.usesAttentionBias)), ("use_sliding_window", false),
      ])
  }

  public static func ggufFields(of configuration: Qwen3Configuration) throws -> GGUFFields {
    try configuration.ggufFields("qwen3", [("feed_forward_length", .size(configuration.innerSize))])
  }
}
