import AngelCheckpoint
public import AngelCore

extension Gemma2Configuration: WrittenDecoder {}

extension Gemma2Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Gemma2Configuration) -> JSONObject {
    let c = configuration
    var fields = c.huggingFaceFields(
      "Gemma2ForCausalLM", type: "gemma2", activation: "hidden_activation",
      [
        ("intermediate_size", .integer(c.innerSize)),
        ("query_pre_attn_scalar", Int(exactly: c.queryScalar).map { .integer($0) } ?? .float(c.queryScalar)),
        ("sliding_window", .integer(c.window)), ("layer_types", c.localLayers.layerTypes),
        ("attn_logit_softcapping", c.scoreSoftCap == 0 ? .null : .float(c.scoreSoftCap)),
        ("final_logit_softcapping", c.logitSoftCap == 0 ? .null : .float(c.logitSoftCap)),
        ("attention_bias", .bool(c.usesAttentionBias)),
      ])
    fields["hidden_activation"] = c.usesExactGELU ? "gelu" : "gelu_pytorch_tanh"
    return fields
  }

  public static func ggufFields(of configuration: Gemma2Configuration) throws -> GGUFFields {
    let c = configuration
    // Readers know the 27B by its 46 layers.
    let derived = c.layerCount == 46 ? max(1, c.hiddenSize / c.headCount) : c.headSize
    guard c.queryScalar == Float(derived) else {
      throw ConversionError.noWord(for: "queries divided by the root of \(c.queryScalar)", in: .gguf)
    }
    guard !c.usesExactGELU else { throw ConversionError.noWord(for: "the exact GELU in Gemma 2", in: .gguf) }
    // Where the keys are missing, readers take the published models' caps.
    guard c.scoreSoftCap > 0, c.logitSoftCap > 0 else {
      throw ConversionError.noWord(for: "Gemma 2 without caps on scores and logits", in: .gguf)
    }
    guard let pattern = c.localLayers.periodOfFalse else {
      throw ConversionError.noWord(for: "this pattern of local layers", in: .gguf)
    }
    var own: [(key: String, value: GGUFValue)] = [
      ("feed_forward_length", .size(c.innerSize)), ("attention.sliding_window", .size(c.window)),
      ("attn_logit_softcapping", .float32(c.scoreSoftCap)), ("final_logit_softcapping", .float32(c.logitSoftCap)),
    ]
    if pattern != 2 { own.append(("attention.sliding_window_pattern", .size(pattern))) }
    return try c.ggufFields("gemma2", own)
  }
}
