import AngelCheckpoint
public import AngelCore

extension MistralConfiguration: WrittenDecoder {}

extension MistralModel: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: MistralConfiguration) -> JSONObject {
    configuration.huggingFaceFields(
      "MistralForCausalLM", type: "mistral",
      [
        ("intermediate_size", .integer(configuration.innerSize)),
        ("sliding_window", configuration.window == 0 ? .null : .integer(configuration.window)),
      ])
  }

  /// Its files call themselves llama; without a window it is a llama.
  public static func ggufFields(of configuration: MistralConfiguration) throws -> GGUFFields {
    var own: [(key: String, value: GGUFValue)] = [("feed_forward_length", .size(configuration.innerSize))]
    if configuration.window > 0 { own.append(("attention.sliding_window", .size(configuration.window))) }
    return try configuration.ggufFields("llama", own)
  }
}
