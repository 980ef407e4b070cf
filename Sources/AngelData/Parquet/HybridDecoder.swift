/// Small whole numbers as runs of one value and groups of packed bits: levels, indices into a dictionary, truth values.
///
/// Source: parquet-format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid".
struct HybridDecoder {
  private let bytes: [UInt8]
  private var position: Int
  private let end: Int
  private let width: Int
  /// What is left of the run at hand, and its value; nil while bits are unpacked.
  private var left = 0
  private var repeated: UInt32?
  /// The next packed value's first bit.
  private var bit = 0

  /// - Parameter width: bits of a value, 0 to 32.
  init(_ bytes: [UInt8], _ range: Range<Int>, width: Int) throws(ParquetError) {
    guard (0...32).contains(width) else { throw .damaged("numbers of \(width) bits") }
    self.bytes = bytes
    self.width = width
    (position, end) = (range.lowerBound, range.upperBound)
  }

  mutating func next() throws(ParquetError) -> UInt32 {
    if left == 0 {
      // Of no bits nothing need be written.
      if width == 0, position == end { return 0 }
      try beginRun()
    }
    left -= 1
    if let repeated { return repeated }
    defer { bit += width }
    return packed(bit)
  }

  private mutating func beginRun() throws(ParquetError) {
    guard position < end else { throw .damaged("a page has fewer values than it says") }
    let header = try Varint.read(bytes[..<end], at: &position, bits: 35)
    let count = Int(header >> 1)
    guard count > 0 else { throw .damaged("a run of no values") }
    if header & 1 == 0 {
      let size = (width + 7) / 8
      guard end - position >= size else { throw .damaged("a run is cut off") }
      var value: UInt32 = 0
      for place in 0..<size { value |= UInt32(bytes[position + place]) << UInt32(8 * place) }
      guard width == 32 || value >> UInt32(width) == 0 else { throw .damaged("a value of more than \(width) bits") }
      (left, repeated) = (count, value)
      position += size
    } else {
      // The last group may be cut where its values end.
      let whole = min(count * width, end - position)
      guard width == 0 || whole > 0 else { throw .damaged("a run is cut off") }
      left = width == 0 ? count * 8 : min(count * 8, whole * 8 / width)
      (repeated, bit) = (nil, position * 8)
      position += whole
    }
  }

  /// `width` bits from bit `place` on, the lowest first.
  private func packed(_ place: Int) -> UInt32 {
    guard width > 0 else { return 0 }
    var (value, taken) = (UInt64(0), 0)
    var byte = place / 8
    let offset = place % 8
    while taken < offset + width {
      value |= UInt64(bytes[byte]) << UInt64(taken)
      taken += 8
      byte += 1
    }
    return UInt32(truncatingIfNeeded: value >> UInt64(offset) & (1 << UInt64(width) - 1))
  }
}
