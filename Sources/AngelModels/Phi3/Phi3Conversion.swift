import AngelCheckpoint
public import AngelCore
import AngelNN

extension Phi3Configuration: WrittenDecoder {}

extension Phi3Model: ConvertibleLanguageModel {
  public static func huggingFaceFields(of configuration: Phi3Configuration) throws -> JSONObject {
    let c = configuration
    var fields = c.huggingFaceFields(
      "Phi3ForCausalLM", type: "phi3",
      [
        ("intermediate_size", .integer(c.innerSize)), ("partial_rotary_factor", c.rotatedShare),
        ("sliding_window", c.window == 0 ? .null : .integer(c.window)),
        ("original_max_position_embeddings", .integer(c.contextLength)),
        // Without the field it would be token 32000.
        ("pad_token_id", .null),
      ])
    switch c.rotaryScaling {
    case .none: break
    case .longRope(let long):
      fields["original_max_position_embeddings"] = .integer(long.originalLength)
      fields["rope_scaling"] = scaling(long, contextLength: c.contextLength)
    default: throw ConversionError.noWord(for: "a rotary scaling of Phi-3 other than LongRoPE", in: .huggingFace)
    }
    return fields
  }

  /// The three fields that older versions of the family's class insist on; the attention factor follows from the lengths unless
  /// it differs by more than rounding.
  private static func scaling(_ long: RotaryScaling.LongRope, contextLength: Int) -> JSONValue {
    let usual = RotaryScaling.LongRope(
      shortDivisors: [], longDivisors: [], originalLength: long.originalLength,
      factor: Float(contextLength) / Float(long.originalLength))
    var fields = JSONObject([
      ("type", "longrope"), ("short_factor", .array(long.shortDivisors.map { .float($0) })),
      ("long_factor", .array(long.longDivisors.map { .float($0) })),
    ])
    if abs(long.attentionFactor - usual.attentionFactor) > 1e-6 {
      fields["attention_factor"] = .float(long.attentionFactor)
    }
    return .object(fields)
  }

  /// A window of 0 stands for none; the original length is there with LongRoPE and without.
  public static func ggufFields(of configuration: Phi3Configuration) throws -> GGUFFields {
    let c = configuration
    var own: [(key: String, value: GGUFValue)] = [
      ("feed_forward_length", .size(c.innerSize)), ("attention.sliding_window", .size(c.window)),
    ]
    if c.rotaryScaling == .none { own.append(("rope.scaling.original_context_length", .size(c.contextLength))) }
    return try c.ggufFields("phi3", own)
  }
}
