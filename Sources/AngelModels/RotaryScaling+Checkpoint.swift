import AngelCheckpoint
import AngelCore
import AngelNN
import Glibc

extension RotaryScaling {
  /// Base and scaling from a Hugging Face configuration: `rope_theta` with `rope_scaling`, or the newer `rope_parameters`.
  static func huggingFace(
    _ fields: ConfigurationFields, size: Int, contextLength: Int, defaultBase: Float = 10_000
  ) throws -> (base: Float, scaling: RotaryScaling) {
    let nested = try fields.fields("rope_parameters") ?? fields.fields("rope_scaling")
    let base =
      try nested?["rope_theta"] != nil
      ? nested?.float("rope_theta") ?? defaultBase : fields.float("rope_theta", default: defaultBase)
    guard let nested else { return (base, .none) }
    return (base, try scaling(nested, beside: fields, size: size, contextLength: contextLength))
  }

  /// The scaling that `nested` describes; `fields` is the whole configuration.
  static func scaling(
    _ nested: ConfigurationFields, beside fields: ConfigurationFields, size: Int, contextLength: Int
  ) throws -> RotaryScaling {
    let type = nested.type
    // The length before stretching: beside the scaling, inside it, or the model's own.
    let original =
      try fields["original_max_position_embeddings"] != nil
      ? fields.integer("original_max_position_embeddings")
      : nested.integer("original_max_position_embeddings", default: contextLength)
    let implied = Float(contextLength) / Float(original)
    switch type {
    case "default": return .none
    case "linear": return .linear(try nested.positive("factor"))
    case "dynamic": return .dynamic(factor: try nested.positive("factor"), originalLength: contextLength)
    case "llama3":
      return .llama3(
        Llama3Bands(
          factor: try nested.positive("factor"), lowFrequencyFactor: try nested.positive("low_freq_factor"),
          highFrequencyFactor: try nested.positive("high_freq_factor"), originalLength: original))
    case "yarn": return .yarn(try yarn(nested, originalLength: original, implied: implied))
    // The name in Phi-3's first files.
    case "longrope", "su":
      return .longRope(try longRope(nested, originalLength: original, implied: implied, pairs: size / 2))
    default:
      throw nested.wrong("rope_type", .string(type), "default, linear, dynamic, llama3, yarn or longrope")
    }
  }

  /// Base and scaling of a Hunyuan model: its releases call the scaling dynamic, but a given alpha makes it one change of
  /// the base, whatever the length.
  static func hunyuan(_ fields: ConfigurationFields, size: Int, contextLength: Int) throws
    -> (base: Float, scaling: RotaryScaling)
  {
    let nested = try fields.fields("rope_parameters") ?? fields.fields("rope_scaling")
    guard let nested, nested["alpha"] != nil, nested.type == "dynamic" else {
      return try huggingFace(fields, size: size, contextLength: contextLength)
    }
    let base = try nested.float("rope_theta", default: fields.float("rope_theta", default: 10_000))
    let alpha = try nested.positive("alpha")
    guard size > 2 else { throw nested.wrong("alpha", nested["alpha"] ?? .null, "heads wider than 2") }
    let stretched = base * powf(alpha, Float(size) / Float(size - 2))
    guard stretched.isFinite else { throw nested.wrong("alpha", nested["alpha"] ?? .null, "a base below 3e38") }
    return (stretched, .none)
  }

  private static func yarn(_ fields: ConfigurationFields, originalLength: Int, implied: Float) throws -> YaRN {
    let factor = try fields.positive("factor", default: implied)
    var attention = fields["attention_factor"] == nil ? nil : try fields.positive("attention_factor")
    // DeepSeek's form: two weights on the logarithm, whose quotient counts.
    let (weight, weightOfAll) = (
      try fields.float("mscale", default: 0), try fields.float("mscale_all_dim", default: 0)
    )
    if attention == nil, weight != 0, weightOfAll != 0 {
      attention = YaRN.temperature(factor, weight: weight) / YaRN.temperature(factor, weight: weightOfAll)
    }
    return YaRN(
      factor: factor, originalLength: originalLength, fastRotations: try fields.positive("beta_fast", default: 32),
      slowRotations: try fields.positive("beta_slow", default: 1),
      truncates: try fields.bool("truncate", default: true),
      attentionFactor: attention)
  }

  private static func longRope(
    _ fields: ConfigurationFields, originalLength: Int, implied: Float, pairs: Int
  ) throws -> LongRope {
    func divisors(_ key: String) throws -> [Float] {
      let values = try fields.floats(key) ?? []
      guard values.count == pairs, values.allSatisfy({ $0 > 0 }) else {
        throw fields.wrong(key, fields[key] ?? .null, "\(pairs) positive numbers, one a rotary pair")
      }
      return values
    }
    return LongRope(
      shortDivisors: try divisors("short_factor"), longDivisors: try divisors("long_factor"),
      originalLength: originalLength, factor: try fields.positive("factor", default: implied),
      attentionFactor: fields["attention_factor"] == nil ? nil : try fields.positive("attention_factor"))
  }

  /// Base and scaling from GGUF metadata: `rope.freq_base`, `rope.scaling.*`, or factors kept as tensors.
  static func gguf(_ fields: ConfigurationFields, _ checkpoint: Checkpoint, size: Int, contextLength: Int) throws
    -> (base: Float, scaling: RotaryScaling)
  {
    let base = try fields.float("rope.freq_base", default: 10_000)
    let rotated = try fields.integer("rope.dimension_count", in: 1...4096, default: size)
    guard rotated == size else {
      throw fields.wrong("rope.dimension_count", .integer(rotated), "\(size): this family rotates whole heads")
    }
    if checkpoint.contains("rope_freqs.weight") {
      let divisors = try checkpoint.floats("rope_freqs.weight", count: size / 2)
      return (base, .divided(by: divisors, attentionFactor: 1))
    }
    let original = try fields.integer("rope.scaling.original_context_length", default: contextLength)
    let attention = fields["rope.scaling.attn_factor"] == nil ? nil : try fields.positive("rope.scaling.attn_factor")
    // Older converters wrote the factor alone, under another name; 0 stood for none.
    let bare = try fields.float("rope.scaling.factor", default: fields.float("rope.scale_linear", default: 0))
    let implied = Float(contextLength) / Float(original)
    func factor() throws -> Float { bare == 0 ? implied : try fields.positive("rope.scaling.factor", default: bare) }
    if checkpoint.contains("rope_factors_long.weight") {
      return (
        base,
        .longRope(
          LongRope(
            shortDivisors: try checkpoint.floats("rope_factors_short.weight", count: size / 2),
            longDivisors: try checkpoint.floats("rope_factors_long.weight", count: size / 2),
            originalLength: original, factor: try factor(), attentionFactor: attention))
      )
    }
    let type = fields["rope.scaling.type"]?.string ?? (bare == 0 ? "none" : "linear")
    switch type {
    case "none": return (base, .none)
    case "linear": return (base, .linear(try factor()))
    case "yarn":
      return (
        base,
        .yarn(
          YaRN(
            factor: try factor(), originalLength: original,
            fastRotations: try fields.positive("rope.scaling.yarn_beta_fast", default: 32),
            slowRotations: try fields.positive("rope.scaling.yarn_beta_slow", default: 1),
            attentionFactor: try attention.map { $0 * YaRN.temperature(try factor()) }))
      )
    default: throw fields.wrong("rope.scaling.type", .string(type), "none, linear or yarn")
    }
  }
}

extension ConfigurationFields {
  /// The kind of a rotary scaling, under its new name or its old one.
  fileprivate var type: String { (self["rope_type"] ?? self["type"])?.string ?? "default" }

  /// A number above zero.
  func positive(_ key: String, default fallback: Float? = nil) throws(CheckpointError) -> Float {
    let value = try float(key, default: fallback)
    guard value > 0 else { throw wrong(key, self[key] ?? .number(Double(value)), "a number above 0") }
    return value
  }
}
