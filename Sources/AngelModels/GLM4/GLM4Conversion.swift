import AngelCheckpoint
public import AngelCore

extension GLM4Configuration: WrittenDecoder {}

extension GLM4Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: GLM4Configuration) -> JSONObject {
    configuration.huggingFaceFields(
      "Glm4ForCausalLM", type: "glm4",
      [
        ("intermediate_size", .integer(configuration.innerSize)),
        ("partial_rotary_factor", configuration.rotatedShare),
        ("attention_bias", .bool(configuration.usesAttentionBias)),
        // Without the field it would be token 151329.
        ("pad_token_id", .null),
      ])
  }

  public static func ggufFields(of configuration: GLM4Configuration) throws -> GGUFFields {
    try configuration.ggufFields("glm4", [("feed_forward_length", .size(configuration.innerSize))])
  }
}
