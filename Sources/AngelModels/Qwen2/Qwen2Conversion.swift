import AngelCheckpoint
public import AngelCore

extension Qwen2Configuration: WrittenDecoder {}

extension Qwen2Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Qwen2Configuration) -> JSONObject {
    configuration.huggingFaceFields(
      "Qwen2ForCausalLM", type: "qwen2",
      [("intermediate_size", .integer(configuration.innerSize)), ("use_sliding_window", false)])
  }

  public static func ggufFields(of configuration: Qwen2Configuration) throws -> GGUFFields {
    guard configuration.windows.allSatisfy({ $0 == 0 }) else {
      throw ConversionError.noWord(for: "windows of Qwen2 layers", in: .gguf)
    }
    return try configuration.ggufFields("qwen2", [("feed_forward_length", .size(configuration.innerSize))])
  }
}
