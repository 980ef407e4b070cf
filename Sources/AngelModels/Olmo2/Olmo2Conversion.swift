import AngelCheckpoint
public import AngelCore

extension Olmo2Configuration: WrittenDecoder {}

extension Olmo2Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Olmo2Configuration) -> JSONObject {
    configuration.huggingFaceFields(
      "Olmo2ForCausalLM", type: "olmo2",
      [
        ("intermediate_size", .integer(configuration.innerSize)),
        ("attention_bias", .bool(configuration.usesAttentionBias)),
        // Without the field it would be token 1.
        ("pad_token_id", .null),
      ])
  }

  public static func ggufFields(of configuration: Olmo2Configuration) throws -> GGUFFields {
    try configuration.ggufFields("olmo2", [("feed_forward_length", .size(configuration.innerSize))])
  }
}
