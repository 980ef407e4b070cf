/// Whole numbers as their differences, in blocks of packed bits.
///
/// Source: parquet-format, Encodings.md, "Delta Encoding (DELTA_BINARY_PACKED)".
struct DeltaDecoder {
  private let bytes: [UInt8]
  /// Where the bytes after what has been read stand.
  private(set) var position: Int
  private let end: Int
  private let blockSize: Int
  private let miniblocks: Int
  /// Values still to come.
  private(set) var left: Int
  private var value: Int
  private var isFirst = true
  private var minimum = 0
  /// Bits of a difference in each miniblock of the block at hand.
  private var widths: [Int] = []
  private var miniblock = 0
  /// Differences left of the miniblock, and the first bit of the next.
  private var inMiniblock = 0
  private var bit = 0

  init(_ bytes: [UInt8], _ range: Range<Int>) throws(ParquetError) {
    self.bytes = bytes
    (position, end) = (range.lowerBound, range.upperBound)
    var position = range.lowerBound
    blockSize = try Self.varint(bytes, &position, end)
    miniblocks = try Self.varint(bytes, &position, end)
    left = try Self.varint(bytes, &position, end)
    value = try Self.zigzag(bytes, &position, end)
    self.position = position
    // Writers take 128; a block costs two bytes, so larger ones would be long work for few.
    guard (1...4096).contains(blockSize), (1...512).contains(miniblocks), blockSize % miniblocks == 0,
      blockSize / miniblocks % 8 == 0
    else { throw .damaged("differences in blocks of \(blockSize) by \(miniblocks)") }
  }

  mutating func next() throws(ParquetError) -> Int {
    guard left > 0 else { throw .damaged("a page has fewer values than it says") }
    left -= 1
    if isFirst {
      isFirst = false
      return value
    }
    if inMiniblock == 0 { try beginMiniblock() }
    inMiniblock -= 1
    // Differences are taken modulo 2^64.
    value = value &+ minimum &+ Int(bitPattern: UInt(difference()))
    return value
  }

  private mutating func beginMiniblock() throws(ParquetError) {
    if miniblock == widths.count {
      minimum = try Self.zigzag(bytes, &position, end)
      guard end - position >= miniblocks else { throw .damaged("a block of differences is cut off") }
      widths = bytes[position..<(position + miniblocks)].map { Int($0) }
      position += miniblocks
      miniblock = 0
    }
    let count = blockSize / miniblocks
    let size = widths[miniblock] * count / 8
    guard widths[miniblock] <= 64, end - position >= size else { throw .damaged("a block of differences is cut off") }
    bit = position * 8
    position += size
    inMiniblock = count
    miniblock += 1
  }

  private mutating func difference() -> UInt64 {
    let width = widths[miniblock - 1]
    var value: UInt64 = 0
    for place in 0..<width {
      let at = bit + place
      value |= UInt64(bytes[at / 8] >> UInt8(at % 8) & 1) << UInt64(place)
    }
    bit += width
    return value
  }

  private static func varint(_ bytes: [UInt8], _ position: inout Int, _ end: Int) throws(ParquetError) -> Int {
    let value = try unsigned(bytes, &position, end)
    guard let value = Int(exactly: value) else { throw .damaged("a count of \(value)") }
    return value
  }

  private static func zigzag(_ bytes: [UInt8], _ position: inout Int, _ end: Int) throws(ParquetError) -> Int {
    let value = try unsigned(bytes, &position, end)
    return Int(bitPattern: UInt(value >> 1)) ^ -Int(value & 1)
  }

  private static func unsigned(_ bytes: [UInt8], _ position: inout Int, _ end: Int) throws(ParquetError) -> UInt64 {
    var (value, shift) = (UInt64(0), UInt64(0))
    while position < end, shift < 64 {
      defer { position += 1 }
      value |= UInt64(bytes[position] & 0x7F) << shift
      if bytes[position] < 0x80 { return value }
      shift += 7
    }
    throw .damaged("a number is cut off")
  }
}
