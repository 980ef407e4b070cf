import AngelCheckpoint
public import AngelCore

extension HunyuanDenseConfiguration: WrittenDecoder {}

extension HunyuanDenseModel: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: HunyuanDenseConfiguration) -> JSONObject {
    configuration.huggingFaceFields(
      "HunYuanDenseV1ForCausalLM", type: "hunyuan_v1_dense",
      [
        ("intermediate_size", .integer(configuration.innerSize)), ("use_qk_norm", true),
        ("attention_bias", .bool(configuration.usesAttentionBias)),
      ])
  }

  public static func ggufFields(of configuration: HunyuanDenseConfiguration) throws -> GGUFFields {
    try configuration.ggufFields("hunyuan-dense", [("feed_forward_length", .size(configuration.innerSize))])
  }
}
