/// Whole numbers as their differences, in blocks of packed bits.
///
/// Source: parquet-format, Encodings.md, "Delta Encoding (DELTA_BINARY_PACKED)".
struct DeltaDecoder {
  private let bytes: [UInt8]
  private var position: Int
  private let end: Int
  private let blockSize: Int
  private let miniblocks: Int
  /// Values still to come.
  private var left: Int
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
    let head = bytes[..<range.upperBound]
    let sizes = try [head.count(&position), head.count(&position), head.count(&position)]
    (blockSize, miniblocks, left) = (sizes[0], sizes[1], sizes[2])
    value = try Varint.readSigned(head, at: &position)
    // Writers take 128; a block costs two bytes, so larger ones would be long work for few.
    guard (1...4096).contains(blockSize), (1...512).contains(miniblocks), blockSize % miniblocks == 0,
      blockSize / miniblocks % 8 == 0
    else { throw .damaged("differences in blocks of \(blockSize) by \(miniblocks)") }
  }

  /// Where the bytes after all values stand; miniblocks are stepped over whole, of which each takes a byte at least.
  func endOfValues() throws(ParquetError) -> Int {
    var walk = self
    // The first value stands in the head.
    while walk.left > 1 {
      try walk.beginMiniblock()
      walk.left -= min(walk.left, walk.inMiniblock)
    }
    return walk.position
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
      minimum = try Varint.readSigned(bytes[..<end], at: &position)
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
}

extension ArraySlice<UInt8> {
  /// A number that counts.
  fileprivate func count(_ place: inout Int) throws(ParquetError) -> Int {
    let value = try Varint.read(self, at: &place)
    guard let count = Int(exactly: value) else { throw .damaged("a count of \(value)") }
    return count
  }
}
