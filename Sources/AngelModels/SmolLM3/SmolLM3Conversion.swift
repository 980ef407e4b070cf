import AngelCheckpoint
public import AngelCore

extension SmolLM3Configuration: WrittenDecoder {}

extension SmolLM3Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: SmolLM3Configuration) -> JSONObject {
    let c = configuration
    let window = c.windows.max() ?? 0
    return c.huggingFaceFields(
      "SmolLM3ForCausalLM", type: "smollm3",
      [
        ("intermediate_size", .integer(c.innerSize)),
        ("no_rope_layers", .array(c.rotaryLayers.map { $0 ? 1 : 0 })), ("use_sliding_window", .bool(window > 0)),
        ("sliding_window", window == 0 ? .null : .integer(window)),
        ("layer_types", c.windows.map { $0 > 0 }.layerTypes),
        ("attention_bias", .bool(c.usesAttentionBias)), ("mlp_bias", .bool(c.usesFeedForwardBias)),
        // Without the field it would be token 128004.
        ("pad_token_id", .null),
      ])
  }

  public static func ggufFields(of configuration: SmolLM3Configuration) throws -> GGUFFields {
    let c = configuration
    // Readers let every fourth layer be without positions.
    guard c.rotaryLayers == c.rotaryLayers.indices.map({ ($0 + 1) % 4 != 0 }) else {
      throw ConversionError.noWord(for: "SmolLM3 whose layers without positions are not every fourth", in: .gguf)
    }
    guard c.windows.allSatisfy({ $0 == 0 }) else {
      throw ConversionError.noWord(for: "windows of SmolLM3 layers", in: .gguf)
    }
    return try c.ggufFields("smollm3", [("feed_forward_length", .size(c.innerSize))])
  }
}
