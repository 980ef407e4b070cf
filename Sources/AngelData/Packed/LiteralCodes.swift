/// Huffman codes of literals (RFC 8878, §4.2).
struct LiteralCodes {
  private let width: Int
  private let symbols: [UInt8]
  private let lengths: [UInt8]

  /// Reads the codes described at the beginning of `bytes`; also how many bytes that takes.
  static func read(_ bytes: UnsafeRawBufferPointer) throws(PackedError) -> (codes: LiteralCodes, byteCount: Int) {
    guard let header = bytes.first else { throw .damaged("codes of literals are missing") }
    let size = header < 128 ? Int(header) : (Int(header) - 126) / 2
    guard bytes.count > size else { throw .damaged("codes of literals end too early") }
    let body = UnsafeRawBufferPointer(rebasing: bytes[1..<(1 + size)])
    let weights = header < 128 ? try compressedWeights(body) : directWeights(body, count: Int(header) - 127)
    return (try LiteralCodes(weights), 1 + size)
  }

  private static func directWeights(_ bytes: UnsafeRawBufferPointer, count: Int) -> [Int] {
    (0..<count).map { index -> Int in
      let byte = Int(bytes[index / 2])
      return index % 2 == 0 ? byte >> 4 : byte & 15
    }
  }

  /// Weights written by two states that take turns.
  private static func compressedWeights(_ bytes: UnsafeRawBufferPointer) throws(PackedError) -> [Int] {
    let (table, start) = try StateTable.read(bytes, mostAccuracy: 6, mostSymbols: 256)
    guard start < bytes.count else { throw .damaged("codes of literals end too early") }
    var bits = try ReverseBits(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    var states = [bits.read(table.accuracy), bits.read(table.accuracy)]
    var weights: [Int] = []
    while weights.count < 255 {
      let turn = weights.count % 2
      let entry = table.entries[states[turn]]
      weights.append(Int(entry.symbol))
      states[turn] = Int(entry.base) + bits.read(Int(entry.bits))
      guard bits.left < 0 else { continue }
      // The bits are used up: the other state has the last word.
      weights.append(Int(table.entries[states[1 - turn]].symbol))
      return weights
    }
    throw .damaged("codes of literals have too many weights")
  }

  /// Codes by the weights of all symbols but the last, which follows from the others.
  private init(_ weights: [Int]) throws(PackedError) {
    guard weights.count < 256, weights.allSatisfy({ $0 <= 12 }) else {
      throw .damaged("codes of literals are too long")
    }
    let sum = weights.reduce(0) { $0 + ($1 > 0 ? 1 << ($1 - 1) : 0) }
    guard sum > 0 else { throw .damaged("there are no codes of literals") }
    width = Int.bitWidth - sum.leadingZeroBitCount
    let left = 1 << width - sum
    guard width <= 11, left & (left - 1) == 0 else { throw .damaged("codes of literals are not whole") }
    let all = weights + [left.trailingZeroBitCount + 1]
    var (symbols, lengths): ([UInt8], [UInt8]) = ([], [])
    for weight in 1...width {
      for (symbol, own) in all.enumerated() where own == weight {
        let count = 1 << (weight - 1)
        symbols += repeatElement(UInt8(symbol), count: count)
        lengths += repeatElement(UInt8(width + 1 - weight), count: count)
      }
    }
    guard symbols.count == 1 << width else { throw .damaged("codes of literals are not whole") }
    self.symbols = symbols
    self.lengths = lengths
  }

  /// Appends the `count` literals of one stream.
  func decode(_ bytes: UnsafeRawBufferPointer, count: Int, into output: inout [UInt8]) throws(PackedError) {
    var bits = try ReverseBits(bytes)
    var state = bits.read(width)
    let mask = 1 << width - 1
    for _ in 0..<count {
      output.append(symbols[state])
      let length = Int(lengths[state])
      state = (state << length) & mask | bits.read(length)
    }
    guard bits.left == -width else { throw .damaged("a stream of literals is not of its length") }
  }
}
