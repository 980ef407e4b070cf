import AngelCore

/// Random weight rows in the layout files use: valid blocks of any dtype, values of a mean near zero and a given deviation.
///
/// For measuring speed on shapes whose files are not at hand; the numbers mean nothing.
struct RandomRows {
  let dtype: DType
  /// Elements of a row, whole blocks.
  let depth: Int
  let bytes: [UInt8]

  /// `count` rows whose values have the standard deviation `deviation`, the same for the same `stream`.
  init(count: Int, depth: Int, dtype: DType, deviation: Float, stream: UInt64) {
    self.dtype = dtype
    self.depth = depth
    let generator = PhiloxGenerator(seed: 0, stream: stream)
    if dtype.isTwoOfFour {
      // A deviation of √2 of the kept half is one of all.
      let dense = DType.allCases.first { $0.twoOfFour == dtype } ?? .float32
      bytes = Self.pruned(
        RandomRows(
          count: count, depth: depth, dtype: dense, deviation: deviation * Float(2).squareRoot(), stream: stream), dense
      )
      return
    }
    bytes =
      dtype.isFloatingPoint
      ? Self.dense(count * depth, dtype, deviation, generator)
      : Self.blocks(count * depth / dtype.blockElements, dtype, deviation, generator)
  }

  /// These rows with one element of every two made zero, so two of every four: a bit of the first says which.
  private static func pruned(_ rows: RandomRows, _ dense: DType) -> [UInt8] {
    var bytes = rows.bytes
    // Bytes of a zero, and where elements begin in a block; a byte of q4_0 has an element of either half.
    let (element, zero, start): (Int, UInt8, Int) =
      switch dense {
      case .bfloat16: (2, 0, 0)
      case .q4_0: (1, 0x88, 2)
      default: (1, 0, 2)
      }
    let blockBytes = dense.byteCount(of: 32)
    for block in stride(from: 0, to: bytes.count, by: blockBytes) {
      for place in stride(from: block + start, to: block + blockBytes, by: 2 * element) {
        let cleared = place + (rows.bytes[place] & 1 == 0 ? 0 : element)
        for byte in cleared..<(cleared + element) { bytes[byte] = zero }
      }
    }
    return bytes
  }

  /// Uniform values: their deviation is the half width over √3.
  private static func dense(_ count: Int, _ dtype: DType, _ deviation: Float, _ generator: PhiloxGenerator) -> [UInt8] {
    let halfWidth = deviation * Float(3).squareRoot()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count * dtype.blockBytes)
    for position in 0..<count {
      let value = (2 * generator.uniform(at: UInt64(position)) - 1) * halfWidth
      switch dtype {
      case .float64: withUnsafeBytes(of: Double(value)) { bytes += $0 }
      case .float16: withUnsafeBytes(of: Float16(value)) { bytes += $0 }
      case .bfloat16: withUnsafeBytes(of: UInt16(value.bitPattern >> 16)) { bytes += $0 }
      default: withUnsafeBytes(of: value) { bytes += $0 }
      }
    }
    return bytes
  }

  /// Random bytes everywhere but in the scales.
  private static func blocks(_ count: Int, _ dtype: DType, _ deviation: Float, _ generator: PhiloxGenerator) -> [UInt8]
  {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count * dtype.blockBytes + 16)
    for index in 0..<UInt64((count * dtype.blockBytes + 15) / 16) {
      withUnsafeBytes(of: generator.block(at: index)) { bytes += $0 }
    }
    bytes.removeLast(bytes.count - count * dtype.blockBytes)
    // A pair of bits makes no ternary digit of its own: 3 becomes 1.
    if dtype == .tq2_0 { for index in bytes.indices { bytes[index] &= ~((bytes[index] & 0x55) << 1) } }
    for (offset, scale) in unitScales(dtype) {
      let bits = Float16(scale * deviation).bitPattern
      for block in 0..<count {
        let position = block * dtype.blockBytes + offset
        (bytes[position], bytes[position + 1]) = (UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8))
      }
    }
    return bytes
  }

  /// Where a block keeps its float16 scales, and what they are for values of zero mean and unit deviation when every other
  /// bit is random: 1 over the deviation of the quants (times that of the inner scales), and the mean to take off.
  private static func unitScales(_ dtype: DType) -> [(offset: Int, value: Float)] {
    switch dtype {
    case .q4_0: [(0, 1 / 4.61)]
    case .q4_1: [(0, 1 / 4.61), (2, -7.5 / 4.61)]
    case .q5_0: [(0, 1 / 9.23)]
    case .q5_1: [(0, 1 / 9.23), (2, -15.5 / 9.23)]
    case .q8_0: [(0, 1 / 73.9)]
    case .q4_K: [(0, 1 / 258), (2, 7.5 / 258)]
    case .q5_K: [(0, 1 / 527), (2, 15.5 / 527)]
    case .q6_K: [(208, 1 / 1366)]
    case .q2_K: [(80, 1 / 13.87), (82, 1.5 / 13.87)]
    case .q3_K: [(108, 1 / 43.3)]
    case .iq4_NL: [(0, 1 / 67.2)]
    case .iq4_XS: [(0, 1 / 1246)]
    case .tq1_0: [(52, 1 / 0.816)]
    case .tq2_0: [(64, 1 / 0.707)]
    case .float64, .float32, .float16, .bfloat16, .int64, .int32, .uint8, .int8Rows, .bfloat16Rows, .bfloat16_2of4,
      .q4_0_2of4, .q8_0_2of4:
      []
    }
  }
}
