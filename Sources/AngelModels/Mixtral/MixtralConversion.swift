import AngelCheckpoint
public import AngelCore

extension MixtralConfiguration: WrittenDecoder {}

extension MixtralModel: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: MixtralConfiguration) -> JSONObject {
    configuration.huggingFaceFields(
      "MixtralForCausalLM", type: "mixtral",
      [
        ("intermediate_size", .integer(configuration.experts.innerSize)),
        ("num_local_experts", .integer(configuration.experts.expertCount)),
        ("num_experts_per_tok", .integer(configuration.experts.expertsPerToken)),
        ("sliding_window", configuration.window == 0 ? .null : .integer(configuration.window)),
      ])
  }

  /// Its files call themselves llama, with experts.
  public static func ggufFields(of configuration: MixtralConfiguration) throws -> GGUFFields {
    var own: [(key: String, value: GGUFValue)] = [
      ("feed_forward_length", .size(configuration.experts.innerSize)),
      ("expert_count", .size(configuration.experts.expertCount)),
      ("expert_used_count", .size(configuration.experts.expertsPerToken)),
    ]
    if configuration.window > 0 { own.append(("attention.sliding_window", .size(configuration.window))) }
    return try configuration.ggufFields("llama", own)
  }
}
