/// A table of finite-state entropy codes (RFC 8878, §4.1): each state has a symbol, and how the next state is read.
struct StateTable {
  struct Entry {
    var symbol: UInt8 = 0
    var bits: UInt8 = 0
    var base: UInt16 = 0
  }

  let accuracy: Int
  let entries: [Entry]

  /// A table of one symbol that takes no bits.
  init(only symbol: UInt8) {
    accuracy = 0
    entries = [Entry(symbol: symbol)]
  }

  /// A table by the probabilities of symbols, -1 standing for less than one.
  init(_ probabilities: [Int], accuracy: Int) throws(PackedError) {
    let size = 1 << accuracy
    var entries = [Entry](repeating: Entry(), count: size)
    var next = [Int](repeating: 0, count: probabilities.count)
    var high = size
    for (symbol, probability) in probabilities.enumerated() where probability == -1 {
      high -= 1
      guard high >= 0 else { throw .damaged("a table of codes overflows") }
      entries[high].symbol = UInt8(symbol)
      next[symbol] = 1
    }
    let step = size >> 1 + size >> 3 + 3
    var place = 0
    for (symbol, probability) in probabilities.enumerated() where probability > 0 {
      next[symbol] = probability
      for _ in 0..<probability {
        guard place < high else { throw .damaged("a table of codes overflows") }
        entries[place].symbol = UInt8(symbol)
        repeat { place = (place + step) & (size - 1) } while place >= high && high > 0
      }
    }
    guard place == 0 else { throw .damaged("a table of codes is not filled") }
    for index in 0..<size {
      let symbol = Int(entries[index].symbol)
      let state = next[symbol]
      next[symbol] += 1
      guard state > 0, state < 2 * size else { throw .damaged("a table of codes overflows") }
      let bits = accuracy - (Int.bitWidth - 1 - state.leadingZeroBitCount)
      guard bits >= 0 else { throw .damaged("a table of codes overflows") }
      entries[index].bits = UInt8(bits)
      entries[index].base = UInt16(state << bits - size)
    }
    self.accuracy = accuracy
    self.entries = entries
  }

  /// Reads a table's description at the beginning of `bytes`; also how many bytes it takes.
  static func read(
    _ bytes: UnsafeRawBufferPointer, mostAccuracy: Int, mostSymbols: Int
  ) throws(PackedError) -> (table: StateTable, byteCount: Int) {
    var bits = ForwardBits(bytes)
    let accuracy = try bits.read(4) + 5
    guard accuracy <= mostAccuracy else { throw .damaged("a table of codes is too large") }
    var probabilities: [Int] = []
    var remaining = 1 << accuracy
    while remaining > 0 {
      guard probabilities.count < mostSymbols else { throw .damaged("a table has too many symbols") }
      let width = Int.bitWidth - (remaining + 1).leadingZeroBitCount
      var value = try bits.read(width)
      let mask = 1 << (width - 1) - 1
      let threshold = 1 << width - 1 - (remaining + 1)
      if value & mask < threshold {
        bits.rewind(1)
        value &= mask
      } else if value > mask {
        value -= threshold
      }
      let probability = value - 1
      remaining -= abs(probability)
      guard remaining >= 0 else { throw .damaged("a table's probabilities are more than one") }
      probabilities.append(probability)
      guard probability == 0 else { continue }
      var zeros = 3
      while zeros == 3 {
        zeros = try bits.read(2)
        guard probabilities.count + zeros <= mostSymbols else { throw .damaged("a table has too many symbols") }
        probabilities += repeatElement(0, count: zeros)
      }
    }
    return (try StateTable(probabilities, accuracy: accuracy), bits.byteCount)
  }
}
