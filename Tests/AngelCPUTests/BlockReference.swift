/// Weights as files store them, and an independent reading of the GGUF block formats to check the kernels against.
import AngelCore

/// A small deterministic generator (SplitMix64).
struct TestRandom: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  /// Uniform in -1...1, on a grid of 2^-15.
  mutating func unitFloat() -> Float { Float(Int(next() % 65537) - 32768) / 32768 }
}

enum BlockReference {
  /// Every dtype a linear weight may have.
  static let weightDTypes: [DType] = [
    .float32, .float16, .bfloat16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q5_K, .q6_K, .q2_K, .q3_K, .iq4_NL,
    .iq4_XS, .tq1_0, .tq2_0,
  ]

  /// Where a block of a file keeps its quants: all but scales and minima.
  private static func quantBytes(_ dtype: DType) -> [Range<Int>] {
    switch dtype {
    case .q4_0, .iq4_NL: [2..<18]
    case .q4_1: [4..<20]
    case .q5_0: [2..<22]
    case .q5_1: [4..<24]
    case .q8_0: [2..<34]
    case .q4_K: [16..<144]
    case .q5_K: [16..<176]
    case .q6_K: [0..<192]
    case .q2_K: [16..<80]
    case .q3_K: [0..<96]
    case .iq4_XS: [8..<136]
    case .tq1_0: [0..<52]
    case .tq2_0: [0..<64]
    default: []
    }
  }

  /// These blocks with every byte of their quants the same.
  static func filled(_ source: [UInt8], _ dtype: DType, with byte: UInt8) -> [UInt8] {
    var result = source
    let blockBytes = dtype.byteCount(of: dtype.blockElements)
    for start in stride(from: 0, to: source.count, by: blockBytes) {
      for range in quantBytes(dtype) { for place in range { result[start + place] = byte } }
    }
    return result
  }

  /// `count` elements of random content whose scales are small ordinary, or subnormal, half numbers.
  static func randomBytes(_ dtype: DType, count: Int, using random: inout TestRandom) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(dtype.byteCount(of: count))
    for _ in 0..<count / dtype.blockElements {
      var block: [UInt8]
      switch dtype {
      case .float32: block = littleEndian(random.unitFloat().bitPattern)
      case .bfloat16: block = Array(littleEndian(random.unitFloat().bitPattern)[2...])
      default:
        block = (0..<dtype.blockBytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        for offset in halfOffsets(of: dtype) {
          let value = Float16(random.unitFloat() / (random.next() % 16 == 0 ? 32768 : 16))
          block.replaceSubrange(offset..<offset + 2, with: littleEndian(value.bitPattern))
        }
      }
      bytes += block
    }
    return bytes
  }

  /// Where a block keeps its half-precision numbers.
  private static func halfOffsets(of dtype: DType) -> [Int] {
    switch dtype {
    case .float16, .q4_0, .q5_0, .q8_0, .iq4_NL, .iq4_XS: [0]
    case .q6_K: [208]
    case .q2_K: [80, 82]
    case .q3_K: [108]
    case .tq1_0: [52]
    case .tq2_0: [64]
    default: [0, 2]
    }
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  /// The values of one row, by the definitions of the formats; of 2:4 rows as files have them, with their zeros.
  static func values(_ dtype: DType, _ bytes: ArraySlice<UInt8>) -> [Float] {
    let dtype = DType.allCases.first { $0.twoOfFour == dtype } ?? dtype
    let size = dtype.blockBytes
    return stride(from: bytes.startIndex, to: bytes.endIndex, by: size).flatMap {
      block(dtype, Array(bytes[$0..<$0 + size]))
    }
  }

  private static func half(_ b: [UInt8], _ at: Int) -> Float {
    Float(Float16(bitPattern: UInt16(b[at]) | UInt16(b[at + 1]) << 8))
  }

  private static func block(_ dtype: DType, _ b: [UInt8]) -> [Float] {
    switch dtype {
    case .float32: [b.withUnsafeBytes { Float(bitPattern: $0.load(as: UInt32.self)) }]
    case .float16: [half(b, 0)]
    case .bfloat16: [Float(bitPattern: (UInt32(b[0]) | UInt32(b[1]) << 8) << 16)]
    case .q4_0: (0..<32).map { half(b, 0) * Float(nibble(b[2...], $0) - 8) }
    case .q4_1: (0..<32).map { half(b, 0) * Float(nibble(b[4...], $0)) + half(b, 2) }
    case .q5_0: (0..<32).map { half(b, 0) * Float(nibble(b[6...], $0) + 16 * bit(b[2...], $0) - 16) }
    case .q5_1: (0..<32).map { half(b, 0) * Float(nibble(b[8...], $0) + 16 * bit(b[4...], $0)) + half(b, 2) }
    case .q8_0: (0..<32).map { half(b, 0) * Float(Int8(bitPattern: b[2 + $0])) }
    case .q4_K: (0..<256).map { fourOrFiveBits(b, $0, quants: 16, high: nil) }
    case .q5_K: (0..<256).map { fourOrFiveBits(b, $0, quants: 48, high: 16) }
    case .q6_K: (0..<256).map { sixBits(b, $0) }
    case .q2_K: (0..<256).map { twoBits(b, $0) }
    case .q3_K: (0..<256).map { threeBits(b, $0) }
    case .iq4_NL: (0..<32).map { half(b, 0) * lookedUp(nibble(b[2...], $0)) }
    case .iq4_XS: (0..<256).map { scaledLookup(b, $0) }
    case .tq1_0: (0..<256).map { half(b, 52) * Float(ternaryDigit(b, $0) - 1) }
    case .tq2_0: (0..<256).map { half(b, 64) * Float(pair(b[0...], $0) - 1) }
    default: []
    }
  }

  /// Nibble of element `e` in 0..<32: low nibbles first.
  private static func nibble(_ b: ArraySlice<UInt8>, _ e: Int) -> Int {
    let byte = Int(b[b.startIndex + e % 16])
    return e < 16 ? byte & 15 : byte >> 4
  }

  private static func bit(_ b: ArraySlice<UInt8>, _ e: Int) -> Int { Int(b[b.startIndex + e / 8] >> (e % 8)) & 1 }

  private static func fourOrFiveBits(_ b: [UInt8], _ e: Int, quants: Int, high: Int?) -> Float {
    let s = e / 32
    let packed = b[4..<16].map { Int($0) }
    let scale = s < 4 ? packed[s] & 63 : (packed[s + 4] & 15) | (packed[s - 4] >> 6) << 4
    let minimum = s < 4 ? packed[s + 4] & 63 : (packed[s + 4] >> 4) | (packed[s] >> 6) << 4
    let byte = Int(b[quants + 32 * (s / 2) + e % 32])
    var quant = s % 2 == 0 ? byte & 15 : byte >> 4
    if let high { quant += 16 * (Int(b[high + e % 32] >> s) & 1) }
    return half(b, 0) * Float(scale) * Float(quant) - half(b, 2) * Float(minimum)
  }

  /// Two bits of element `e` in 0..<256: four groups of 32 share 32 bytes.
  private static func pair(_ b: ArraySlice<UInt8>, _ e: Int) -> Int {
    Int(b[b.startIndex + e / 128 * 32 + e % 32] >> (2 * (e / 32 % 4))) & 3
  }

  private static func twoBits(_ b: [UInt8], _ e: Int) -> Float {
    let scale = b[e / 16]
    return half(b, 80) * Float(scale & 15) * Float(pair(b[16...], e)) - half(b, 82) * Float(scale >> 4)
  }

  private static func threeBits(_ b: [UInt8], _ e: Int) -> Float {
    let s = e / 16
    let low = s < 8 ? b[96 + s] & 15 : b[96 + s - 8] >> 4
    let scale = Int(low) + 16 * (Int(b[104 + s % 4] >> (2 * (s / 4))) & 3) - 32
    let quant = pair(b[32...], e) + 4 * (Int(b[e % 32] >> (e / 32)) & 1) - 4
    return half(b, 108) * Float(scale) * Float(quant)
  }

  private static func lookedUp(_ nibble: Int) -> Float {
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113][nibble]
  }

  private static func scaledLookup(_ b: [UInt8], _ e: Int) -> Float {
    let s = e / 32
    let low = Int(b[4 + s / 2] >> (4 * (s % 2))) & 15
    let high = Int((UInt16(b[2]) | UInt16(b[3]) << 8) >> (2 * s)) & 3
    return half(b, 0) * Float(low + 16 * high - 32) * lookedUp(nibble(b[(8 + 16 * s)...], e % 32))
  }

  /// Digits of 32, 16 and 4 bytes, five or four a byte: the leading digit of the byte as a fraction of 256, times a power of 3.
  private static func ternaryDigit(_ b: [UInt8], _ e: Int) -> Int {
    let (from, at, width) = e < 160 ? (0, 0, 32) : e < 240 ? (160, 32, 16) : (240, 48, 4)
    let power = [1, 3, 9, 27, 81][(e - from) / width]
    return Int(b[at + (e - from) % width]) * power % 256 * 3 / 256
  }

  private static func sixBits(_ b: [UInt8], _ e: Int) -> Float {
    let (h, quarter, l) = (e / 128, e % 128 / 32, e % 32)
    let low = Int(b[64 * h + 32 * (quarter % 2) + l])
    let top = Int(b[128 + 32 * h + l] >> (2 * quarter)) & 3
    let quant = (quarter < 2 ? low & 15 : low >> 4) + 16 * top
    let scale = Int8(bitPattern: b[192 + 8 * h + 2 * quarter + l / 16])
    return half(b, 208) * Float(scale) * Float(quant - 32)
  }
}
