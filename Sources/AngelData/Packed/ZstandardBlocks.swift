import AngelCore

/// The compressed blocks of a Zstandard frame (RFC 8878, §3.1.1.3), which hand codes and offsets on to each other.
struct ZstandardBlocks {
  /// Where the frame's output begins: matches reach back no further.
  private let frameStart: Int
  private var literalCodes: LiteralCodes?
  private var tables: [StateTable?] = [nil, nil, nil]
  private var offsets = [1, 4, 8]
  private var literals: [UInt8] = []

  init(frameStart: Int) { self.frameStart = frameStart }

  private static let mostBlock = 128 << 10

  mutating func decode(
    _ block: UnsafeRawBufferPointer, into output: inout [UInt8], limit: Int
  ) throws(PackedError) {
    var reader = PackedReader(block)
    try readLiterals(&reader)
    var count = try reader.integer(1)
    if count == 255 {
      count = try reader.integer(2) + 0x7F00
    } else if count >= 128 {
      count = (count - 128) << 8 + (try reader.integer(1))
    }
    guard count > 0 else {
      output += literals
      return
    }
    let modes = try reader.integer(1)
    guard modes & 3 == 0 else { throw .damaged("a block has unknown modes") }
    for (index, code) in SequenceCode.all.enumerated() {
      tables[index] = try table(index, code, mode: modes >> (6 - 2 * index) & 3, &reader)
    }
    try sequences(count, reader.rest(), into: &output, limit: limit)
  }

  // MARK: Literals

  private mutating func readLiterals(_ reader: inout PackedReader) throws(PackedError) {
    let first = try reader.integer(1)
    let (kind, format) = (first & 3, first >> 2 & 3)
    literals.removeAll(keepingCapacity: true)
    if kind < 2 {
      // The lower bit of the format says whether the size goes on.
      let size = format & 1 == 0 ? first >> 3 : first >> 4 + (try reader.integer(format == 1 ? 1 : 2)) << 4
      guard size <= Self.mostBlock else { throw .damaged("a block is too large") }
      literals = kind == 0 ? Array(try reader.bytes(size)) : .init(repeating: UInt8(try reader.integer(1)), count: size)
      return
    }
    let more = [2, 2, 3, 4][format]
    let bits = [10, 10, 14, 18][format]
    let sizes = first >> 4 + (try reader.integer(more)) << 4
    let (size, packedSize) = (sizes & (1 << bits - 1), sizes >> bits & (1 << bits - 1))
    guard size <= Self.mostBlock else { throw .damaged("a block is too large") }
    var body = PackedReader(try reader.bytes(packedSize))
    if kind == 2 {
      var peek = body
      let (codes, used) = try LiteralCodes.read(peek.rest())
      literalCodes = codes
      _ = try body.bytes(used)
    }
    guard let codes = literalCodes else { throw .damaged("codes of literals are missing") }
    literals.reserveCapacity(size)
    guard format > 0 else { return try codes.decode(body.rest(), count: size, into: &literals) }
    let lengths = [try body.integer(2), try body.integer(2), try body.integer(2)]
    let part = (size + 3) / 4
    guard size >= 3 * part else { throw .damaged("literals are too few for four streams") }
    for length in lengths { try codes.decode(try body.bytes(length), count: part, into: &literals) }
    try codes.decode(body.rest(), count: size - 3 * part, into: &literals)
  }

  // MARK: Sequences

  private func table(
    _ index: Int, _ code: SequenceCode, mode: Int, _ reader: inout PackedReader
  ) throws(PackedError) -> StateTable {
    switch mode {
    case 0: return try StateTable(code.usual, accuracy: code.usualAccuracy)
    case 1:
      let symbol = try reader.integer(1)
      guard symbol < code.symbols else { throw .damaged("a code is out of range") }
      return StateTable(only: UInt8(symbol))
    case 2:
      var peek = reader
      let (table, used) = try StateTable.read(peek.rest(), mostAccuracy: code.accuracy, mostSymbols: code.symbols)
      _ = try reader.bytes(used)
      return table
    default:
      guard let table = tables[index] else { throw .damaged("a table of codes is missing") }
      return table
    }
  }

  private mutating func sequences(
    _ count: Int, _ bytes: UnsafeRawBufferPointer, into output: inout [UInt8], limit: Int
  ) throws(PackedError) {
    guard let lengthTable = tables[0], let offsetTable = tables[1], let matchTable = tables[2] else { return }
    var bits = try ReverseBits(bytes)
    var (length, offset) = (bits.read(lengthTable.accuracy), bits.read(offsetTable.accuracy))
    var match = bits.read(matchTable.accuracy)
    var taken = 0
    for index in 0..<count {
      let (l, o, m) = (lengthTable.entries[length], offsetTable.entries[offset], matchTable.entries[match])
      let offsetValue = 1 << Int(o.symbol) + bits.read(Int(o.symbol))
      let matchLength = SequenceCode.matchLengths.value(Int(m.symbol), &bits)
      let literalLength = SequenceCode.literalLengths.value(Int(l.symbol), &bits)
      guard bits.left >= 0, taken + literalLength <= literals.count else {
        throw .damaged("a sequence is out of range")
      }
      output += literals[taken..<(taken + literalLength)]
      taken += literalLength
      let distance = try distance(offsetValue, literalLength: literalLength)
      guard distance > 0, distance <= output.count - frameStart else { throw .damaged("a match reaches too far back") }
      guard output.count + matchLength <= limit else { throw .tooLarge }
      let start = output.count - distance
      // Byte by byte: a match may reach into itself, and a slice of the output would be a copy of all of it.
      for place in start..<(start + matchLength) { output.append(output[place]) }
      guard index + 1 < count else { break }
      length = Int(l.base) + bits.read(Int(l.bits))
      match = Int(m.base) + bits.read(Int(m.bits))
      offset = Int(o.base) + bits.read(Int(o.bits))
    }
    guard bits.left == 0 else { throw .damaged("a block's sequences are not of their length") }
    output += literals[taken...]
  }

  /// How far back a match lies; the last three distances have numbers of their own (§3.1.1.5).
  private mutating func distance(_ value: Int, literalLength: Int) throws(PackedError) -> Int {
    if value > 3 {
      offsets = [value - 3, offsets[0], offsets[1]]
      return offsets[0]
    }
    let index = value - 1 + (literalLength == 0 ? 1 : 0)
    let distance = index < 3 ? offsets[index] : offsets[0] - 1
    switch index {
    case 0: break
    case 1: offsets = [distance, offsets[0], offsets[2]]
    default: offsets = [distance, offsets[0], offsets[1]]
    }
    return distance
  }
}

/// One of the three numbers of a sequence: how its codes are distributed, and what they stand for.
struct SequenceCode {
  let symbols: Int
  let accuracy: Int
  let usualAccuracy: Int
  let usual: [Int]
  /// The least value of each code, and the bits that are added; empty for offsets, whose code is their number of bits.
  private var bases: [(base: Int, bits: Int)] = []

  /// In the order of the block's modes.
  static let all = [literalLengths, offsets, matchLengths]

  static let literalLengths = SequenceCode(
    symbols: 36, accuracy: 9, usualAccuracy: 6,
    usual: [
      4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ],
    bases: bases(plain: 16, from: 0, bits: [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]))

  static let offsets = SequenceCode(
    symbols: 32, accuracy: 8, usualAccuracy: 5,
    usual: [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1])

  static let matchLengths = SequenceCode(
    symbols: 53, accuracy: 9, usualAccuracy: 6,
    usual: [1, 4, 3, 2, 2, 2, 2, 2, 2] + [Int](repeating: 1, count: 37) + [Int](repeating: -1, count: 7),
    bases: bases(
      plain: 32, from: 3, bits: [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]))

  /// `plain` codes of one value each, then one code for each count of bits, each beginning where the one before ends.
  private static func bases(plain: Int, from first: Int, bits: [Int]) -> [(base: Int, bits: Int)] {
    var bases = (0..<plain).map { (base: first + $0, bits: 0) }
    var next = first + plain
    for count in bits {
      bases.append((next, count))
      next += 1 << count
    }
    return bases
  }

  func value(_ code: Int, _ bits: inout ReverseBits) -> Int {
    guard bases.indices.contains(code) else { return 0 }
    return bases[code].base + bits.read(bases[code].bits)
  }
}
