import AngelCore

/// Values of stored tensors in float32, written from the block layouts of `ggml-common.h`, one formula at a time.
///
/// Independent of the kernels on purpose: tests hold both against the reference package's values.
enum ReferenceDequantizer {
  /// All elements of `bytes`, in order.
  static func values(_ bytes: [UInt8], _ dtype: DType) -> [Float] {
    let blocks = stride(from: 0, to: bytes.count, by: dtype.blockBytes).map { Array(bytes[$0..<$0 + dtype.blockBytes]) }
    return blocks.flatMap { block($0, dtype) }
  }

  private static func block(_ b: [UInt8], _ dtype: DType) -> [Float] {
    switch dtype {
    case .float64: [Float(Double(bitPattern: integer(b, UInt64.self)))]
    case .float32: [Float(bitPattern: integer(b, UInt32.self))]
    case .float16: [half(b, 0)]
    case .bfloat16: [Float(bitPattern: UInt32(integer(b, UInt16.self)) << 16)]
    case .int64: [Float(integer(b, Int64.self))]
    case .int32: [Float(integer(b, Int32.self))]
    case .uint8: [Float(b[0])]
    case .int8Rows, .bfloat16Rows, .bfloat16_2of4, .q4_0_2of4, .q8_0_2of4: []
    case .q4_0: nibbles(b, 2).map { half(b, 0) * (Float($0) - 8) }
    case .q4_1: nibbles(b, 4).map { half(b, 0) * Float($0) + half(b, 2) }
    case .q5_0: fiveBits(b, high: 2, low: 6).map { half(b, 0) * (Float($0) - 16) }
    case .q5_1: fiveBits(b, high: 4, low: 8).map { half(b, 0) * Float($0) + half(b, 2) }
    case .q8_0: b[2...].map { half(b, 0) * Float(Int8(bitPattern: $0)) }
    case .q4_K: q4K(b)
    case .q5_K: q5K(b)
    case .q6_K: q6K(b)
    case .q2_K, .q3_K, .iq4_NL, .iq4_XS, .tq1_0, .tq2_0: []
    }
  }

  private static func integer<T: FixedWidthInteger>(_ b: [UInt8], _: T.Type) -> T {
    b.prefix(T.bitWidth / 8).reversed().reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
  }

  private static func half(_ b: [UInt8], _ at: Int) -> Float {
    Float(Float16(bitPattern: UInt16(b[at]) | UInt16(b[at + 1]) << 8))
  }

  /// 16 bytes: the low halves are elements 0..<16, the high ones 16..<32.
  private static func nibbles(_ b: [UInt8], _ at: Int) -> [Int] {
    let bytes = b[at..<at + 16]
    return bytes.map { Int($0 & 15) } + bytes.map { Int($0 >> 4) }
  }

  /// The fifth bit of element `i` is bit `i` of a 32-bit word.
  private static func fiveBits(_ b: [UInt8], high: Int, low: Int) -> [Int] {
    nibbles(b, low).enumerated().map { i, nibble in nibble | Int(b[high + i / 8] >> UInt8(i % 8) & 1) << 4 }
  }

  /// Scale and minimum of group `j` out of the 12 bytes that hold eight pairs of 6 bits.
  private static func scale(_ b: [UInt8], _ j: Int) -> (scale: Float, minimum: Float) {
    let s = b[4..<16].map { Int($0) }
    if j < 4 { return (Float(s[j] & 63), Float(s[j + 4] & 63)) }
    return (Float(s[j + 4] & 15 | (s[j - 4] >> 6) << 4), Float(s[j + 4] >> 4 | (s[j] >> 6) << 4))
  }

  private static func q4K(_ b: [UInt8]) -> [Float] {
    (0..<256).map { i in
      let group = i / 32
      let byte = b[16 + group / 2 * 32 + i % 32]
      let (scale, minimum) = scale(b, group)
      return half(b, 0) * scale * Float(group % 2 == 0 ? byte & 15 : byte >> 4) - half(b, 2) * minimum
    }
  }

  private static func q5K(_ b: [UInt8]) -> [Float] {
    (0..<256).map { i in
      let group = i / 32
      let byte = b[48 + group / 2 * 32 + i % 32]
      let high = b[16 + i % 32] >> UInt8(group) & 1
      let (scale, minimum) = scale(b, group)
      return half(b, 0) * scale * Float((group % 2 == 0 ? byte & 15 : byte >> 4) + high * 16) - half(b, 2) * minimum
    }
  }

  private static func q6K(_ b: [UInt8]) -> [Float] {
    (0..<256).map { i in
      let (half128, place) = (i / 128, i % 128)
      let low = b[half128 * 64 + place % 64] >> (place < 64 ? 0 : 4) & 15
      let high = b[128 + half128 * 32 + place % 32] >> UInt8(place / 32 * 2) & 3
      let scale = Float(Int8(bitPattern: b[192 + i / 16]))
      return half(b, 208) * scale * Float(Int(low) + Int(high) * 16 - 32)
    }
  }
}
