public import AngelCore

/// A tensor's element type as a GGUF file numbers it (`ggml_type`).
public struct GGMLType: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The format's own name, such as `Q4_K`, or `type 99` for a number nobody gave a name.
  public var name: String { Self.known[rawValue]?.name ?? "type \(rawValue)" }

  /// The type to compute with; nil where this version has none.
  public var dtype: DType? { Self.known[rawValue]?.dtype }

  /// Elements and bytes of one block; nil for an unknown type.
  var block: (elements: Int, bytes: Int)? {
    guard let known = Self.known[rawValue] else { return nil }
    return (known.elements, known.bytes)
  }

  /// The number of `dtype`; nil where the format has none.
  public init?(_ dtype: DType) {
    guard let number = Self.known.first(where: { $0.value.dtype == dtype })?.key else { return nil }
    rawValue = number
  }

  /// The names of the types that can be computed with, in the order of their numbers.
  public static let supportedNames: [String] = known.filter { $0.value.dtype != nil }.sorted { $0.key < $1.key }
    .map(\.value.name)

  private struct Known {
    let name: String
    let elements: Int
    let bytes: Int
    let dtype: DType?

    init(_ name: String, _ dtype: DType) {
      self.name = name
      self.dtype = dtype
      elements = dtype.blockElements
      bytes = dtype.blockBytes
    }

    /// A type that is only known well enough to check its size.
    init(_ name: String, elements: Int, bytes: Int) {
      self.name = name
      self.elements = elements
      self.bytes = bytes
      dtype = nil
    }
  }

  /// Numbers and block sizes as in the `gguf` Python package, `constants.py`.
  private static let known: [UInt32: Known] = [
    0: Known("F32", .float32), 1: Known("F16", .float16), 2: Known("Q4_0", .q4_0), 3: Known("Q4_1", .q4_1),
    6: Known("Q5_0", .q5_0), 7: Known("Q5_1", .q5_1), 8: Known("Q8_0", .q8_0),
    9: Known("Q8_1", elements: 32, bytes: 40), 10: Known("Q2_K", .q2_K),
    11: Known("Q3_K", .q3_K), 12: Known("Q4_K", .q4_K), 13: Known("Q5_K", .q5_K),
    14: Known("Q6_K", .q6_K), 15: Known("Q8_K", elements: 256, bytes: 292),
    16: Known("IQ2_XXS", elements: 256, bytes: 66), 17: Known("IQ2_XS", elements: 256, bytes: 74),
    18: Known("IQ3_XXS", elements: 256, bytes: 98), 19: Known("IQ1_S", elements: 256, bytes: 50),
    20: Known("IQ4_NL", .iq4_NL), 21: Known("IQ3_S", elements: 256, bytes: 110),
    22: Known("IQ2_S", elements: 256, bytes: 82), 23: Known("IQ4_XS", .iq4_XS),
    24: Known("I8", elements: 1, bytes: 1), 25: Known("I16", elements: 1, bytes: 2), 26: Known("I32", .int32),
    27: Known("I64", .int64), 28: Known("F64", .float64), 29: Known("IQ1_M", elements: 256, bytes: 56),
    30: Known("BF16", .bfloat16), 34: Known("TQ1_0", .tq1_0),
    35: Known("TQ2_0", .tq2_0), 39: Known("MXFP4", elements: 32, bytes: 17),
    40: Known("NVFP4", elements: 64, bytes: 36), 41: Known("Q1_0", elements: 128, bytes: 18),
  ]
}
