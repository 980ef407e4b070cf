import AngelCheckpoint
import AngelCore
import AngelNN

extension RotaryScaling {
  /// `rope_scaling` in config.json: null for none.
  func huggingFaceFields(contextLength: Int) -> JSONValue {
    func scaling(_ type: String, _ fields: [(String, JSONValue)]) -> JSONValue {
      .object(JSONObject([("rope_type", .string(type))] + fields))
    }
    func floats(_ values: [Float]) -> JSONValue { .array(values.map { .float($0) }) }
    switch self {
    case .none: return .null
    case .linear(let factor): return scaling("linear", [("factor", .float(factor))])
    case .dynamic(let factor, _): return scaling("dynamic", [("factor", .float(factor))])
    case .llama3(let bands):
      return scaling(
        "llama3",
        [
          ("factor", .float(bands.factor)), ("low_freq_factor", .float(bands.lowFrequencyFactor)),
          ("high_freq_factor", .float(bands.highFrequencyFactor)),
          ("original_max_position_embeddings", .integer(bands.originalLength)),
        ])
    case .yarn(let yarn):
      return scaling(
        "yarn",
        [
          ("factor", .float(yarn.factor)), ("beta_fast", .float(yarn.fastRotations)),
          ("beta_slow", .float(yarn.slowRotations)), ("truncate", .bool(yarn.truncates)),
          ("attention_factor", .float(yarn.attentionFactor)),
          ("original_max_position_embeddings", .integer(yarn.originalLength)),
        ])
    case .longRope(let long):
      return scaling(
        "longrope",
        [
          ("short_factor", floats(long.shortDivisors)), ("long_factor", floats(long.longDivisors)),
          ("factor", .float(Float(contextLength) / Float(long.originalLength))),
          ("attention_factor", .float(long.attentionFactor)),
          ("original_max_position_embeddings", .integer(long.originalLength)),
        ])
    case .divided(let divisors, let attentionFactor):
      // Divisors that hold for every length are LongRoPE's with both sets alike.
      return scaling(
        "longrope",
        [
          ("short_factor", floats(divisors)), ("long_factor", floats(divisors)), ("factor", 1.0),
          ("attention_factor", .float(attentionFactor)),
          ("original_max_position_embeddings", .integer(contextLength)),
        ])
    }
  }

  /// Adds the base and the scaling of a rotation of `size` elements.
  func write(to fields: inout GGUFFields, size: Int, base: Float) throws(ConversionError) {
    fields.metadata.append(("rope.freq_base", .float32(base)))
    func scaling(_ type: String, factor: Float, original: Int) {
      fields.metadata += [("rope.scaling.type", .string(type)), ("rope.scaling.factor", .float32(factor))]
      if original > 0 { fields.metadata.append(("rope.scaling.original_context_length", .size(original))) }
    }
    switch self {
    case .none: break
    case .linear(let factor): scaling("linear", factor: factor, original: 0)
    case .dynamic: throw .noWord(for: "dynamic rotary scaling", in: .gguf)
    case .llama3:
      let plain = RotaryEmbedding(size: size, base: base).inverseFrequencies(forLength: 1)
      let scaled = RotaryEmbedding(size: size, base: base, scaling: self).inverseFrequencies(forLength: 1)
      fields.tensors.append(("rope_freqs.weight", zip(plain, scaled).map { $0 / $1 }))
    case .divided(let divisors, let attentionFactor):
      guard attentionFactor == 1 else { throw .noWord(for: "an attention factor beside rotary divisors", in: .gguf) }
      fields.tensors.append(("rope_freqs.weight", divisors))
    case .yarn(let yarn):
      guard yarn.truncates else { throw .noWord(for: "YaRN without truncated ramps", in: .gguf) }
      scaling("yarn", factor: yarn.factor, original: yarn.originalLength)
      fields.metadata += [
        ("rope.scaling.yarn_beta_fast", .float32(yarn.fastRotations)),
        ("rope.scaling.yarn_beta_slow", .float32(yarn.slowRotations)),
      ]
      // The format's factor comes on top of YaRN's own.
      let extra = yarn.attentionFactor / YaRN.temperature(yarn.factor)
      if extra != 1 { fields.metadata.append(("rope.scaling.attn_factor", .float32(extra))) }
    case .longRope(let long):
      fields.metadata += [
        ("rope.scaling.original_context_length", .size(long.originalLength)),
        ("rope.scaling.attn_factor", .float32(long.attentionFactor)),
      ]
      fields.tensors += [
        ("rope_factors_long.weight", long.longDivisors), ("rope_factors_short.weight", long.shortDivisors),
      ]
    }
  }
}
