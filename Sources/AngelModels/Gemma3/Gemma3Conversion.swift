import AngelCheckpoint
public import AngelCore

extension Gemma3Configuration: WrittenDecoder {}

extension Gemma3Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Gemma3Configuration) -> JSONObject {
    let c = configuration
    var fields = c.huggingFaceFields(
      "Gemma3ForCausalLM", type: "gemma3_text", activation: "hidden_activation",
      [
        ("intermediate_size", .integer(c.innerSize)),
        ("query_pre_attn_scalar", Int(exactly: c.queryScalar).map { .integer($0) } ?? .float(c.queryScalar)),
        ("sliding_window", .integer(c.window)),
        ("layer_types", c.localLayers.layerTypes),
        ("rope_local_base_freq", .float(c.localRotaryBase)), ("attn_logit_softcapping", .null),
        ("final_logit_softcapping", c.logitSoftCap == 0 ? .null : .float(c.logitSoftCap)),
        ("attention_bias", .bool(c.usesAttentionBias)),
      ])
    fields["hidden_activation"] = c.usesExactGELU ? "gelu" : "gelu_pytorch_tanh"
    return fields
  }

  public static func ggufFields(of configuration: Gemma3Configuration) throws -> GGUFFields {
    let c = configuration
    let derived = c.layerCount == 62 ? max(1, c.hiddenSize / c.headCount) : c.headSize
    guard c.queryScalar == Float(derived) else {
      throw ConversionError.noWord(for: "queries divided by the root of \(c.queryScalar)", in: .gguf)
    }
    guard !c.usesExactGELU else { throw ConversionError.noWord(for: "the exact GELU in Gemma 3", in: .gguf) }
    var own: [(key: String, value: GGUFValue)] = [
      ("feed_forward_length", .size(c.innerSize)), ("rope.freq_base_swa", .float32(c.localRotaryBase)),
    ]
    if c.localLayers.contains(true) {
      guard let pattern = c.localLayers.periodOfFalse else {
        throw ConversionError.noWord(for: "this pattern of local layers", in: .gguf)
      }
      own.append(("attention.sliding_window", .size(c.window)))
      if pattern != 6 { own.append(("attention.sliding_window_pattern", .size(pattern))) }
    }
    if c.logitSoftCap != 0 { own.append(("final_logit_softcapping", .float32(c.logitSoftCap))) }
    return try c.ggufFields("gemma3", own)
  }
}
