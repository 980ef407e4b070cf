/// The element type of a tensor, or the block format of a quantised one.
///
/// Raw values are shared with `angel_dtype` in the C kernels (`angel_types.h`); a test holds the two together.
public enum DType: UInt8, CaseIterable, Sendable, Hashable {
  case float64 = 0
  case float32 = 1
  case float16 = 2
  case bfloat16 = 3
  case int64 = 4
  case int32 = 5
  case uint8 = 6
  /// Activations in int8: per row `K` quants, then one float32 scale per 32, then one int32 sum per 16.
  case int8Rows = 7
  /// Activations in bfloat16: rows padded with zeros to whole lines of 64 bytes.
  case bfloat16Rows = 8
  /// Weights in bfloat16 of which two of every four are kept in memory, the others being zero.
  case bfloat16_2of4 = 9
  // GGUF block formats, in the layout llama.cpp documents in `ggml-common.h`.
  case q4_0 = 16
  case q4_1 = 17
  case q5_0 = 18
  case q5_1 = 19
  case q8_0 = 20
  case q4_K = 21
  case q5_K = 22
  case q6_K = 23
  case q2_K = 24
  case q3_K = 25
  case iq4_NL = 26
  case iq4_XS = 27
  case tq1_0 = 28
  case tq2_0 = 29
  /// The same as `bfloat16_2of4` of q4_0 and q8_0.
  case q4_0_2of4 = 30
  case q8_0_2of4 = 31
}

extension DType {
  /// The name used in tables, JSON and error messages.
  public var name: String {
    switch self {
    case .float64: "f64"
    case .float32: "f32"
    case .float16: "f16"
    case .bfloat16: "bf16"
    case .int64: "i64"
    case .int32: "i32"
    case .uint8: "u8"
    case .int8Rows: "int8_rows"
    case .bfloat16Rows: "bf16_rows"
    case .bfloat16_2of4: "bf16_2of4"
    case .q4_0: "q4_0"
    case .q4_1: "q4_1"
    case .q5_0: "q5_0"
    case .q5_1: "q5_1"
    case .q8_0: "q8_0"
    case .q4_K: "q4_k"
    case .q5_K: "q5_k"
    case .q6_K: "q6_k"
    case .q2_K: "q2_k"
    case .q3_K: "q3_k"
    case .iq4_NL: "iq4_nl"
    case .iq4_XS: "iq4_xs"
    case .tq1_0: "tq1_0"
    case .tq2_0: "tq2_0"
    case .q4_0_2of4: "q4_0_2of4"
    case .q8_0_2of4: "q8_0_2of4"
    }
  }

  /// Elements in one block: 1 for plain types.
  public var blockElements: Int {
    switch self {
    case .float64, .float32, .float16, .bfloat16, .int64, .int32, .uint8, .bfloat16Rows: 1
    case .int8Rows, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_NL, .bfloat16_2of4, .q4_0_2of4, .q8_0_2of4: 32
    case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_XS, .tq1_0, .tq2_0: 256
    }
  }

  /// Bytes in one block, as stored in a file; of 2:4 weights with their zeros, since files have no other form of them.
  public var blockBytes: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16, .bfloat16Rows: 2
    case .uint8: 1
    case .int8Rows: 32 + 4 + 8
    case .q4_0, .q4_0_2of4: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0, .q8_0_2of4: 34
    case .bfloat16_2of4: 64
    case .q4_K: 144
    case .q5_K: 176
    case .q6_K: 210
    case .q2_K: 84
    case .q3_K: 110
    case .iq4_NL: 18
    case .iq4_XS: 136
    case .tq1_0: 54
    case .tq2_0: 66
    }
  }

  /// Whether elements are stored in blocks that share scales.
  public var isQuantized: Bool { rawValue >= DType.q4_0.rawValue }

  /// Whether this is one of the four plain floating-point types.
  public var isFloatingPoint: Bool { rawValue <= DType.bfloat16.rawValue }

  /// Bytes of `elements` consecutive elements; `elements` must be a multiple of `blockElements`.
  public func byteCount(of elements: Int) -> Int {
    precondition(
      elements % blockElements == 0, "\(name): \(elements) elements are not whole blocks of \(blockElements)")
    return elements / blockElements * blockBytes
  }
}
