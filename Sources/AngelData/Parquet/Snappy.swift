/// Snappy's raw format: a length, then pieces that stand for themselves or repeat what came before.
///
/// Source: format_description.txt of google/snappy.
enum Snappy {
  /// The `size` bytes that `packed` stand for.
  static func unpacked(_ packed: ArraySlice<UInt8>, size: Int) throws(ParquetError) -> [UInt8] {
    var place = packed.startIndex
    func damaged() -> ParquetError { .damaged("a page cannot be unpacked by snappy") }
    func number(_ count: Int) throws(ParquetError) -> Int {
      guard packed.endIndex - place >= count else { throw damaged() }
      defer { place += count }
      return (0..<count).reduce(0) { $0 | Int(packed[place + $1]) << (8 * $1) }
    }
    var (length, shift) = (0, 0)
    while true {
      let byte = try number(1)
      guard shift < 35 else { throw damaged() }
      length |= (byte & 0x7F) << shift
      shift += 7
      if byte < 0x80 { break }
    }
    // No piece says more than 64 bytes with three of its own.
    guard length == size, size <= packed.count * 24 else { throw damaged() }
    var output: [UInt8] = []
    output.reserveCapacity(size)
    while place < packed.endIndex {
      let tag = try number(1)
      if tag & 3 == 0 {
        let short = tag >> 2
        let count = short < 60 ? short + 1 : try number(short - 59) + 1
        guard packed.endIndex - place >= count, size - output.count >= count else { throw damaged() }
        output += packed[place..<(place + count)]
        place += count
        continue
      }
      let (count, offset) =
        switch tag & 3 {
        case 1: (tag >> 2 & 7 + 4, (tag >> 5) << 8 | (try number(1)))
        case 2: (tag >> 2 + 1, try number(2))
        default: (tag >> 2 + 1, try number(4))
        }
      guard offset > 0, offset <= output.count, size - output.count >= count else { throw damaged() }
      let start = output.count - offset
      // The repeated part may reach into what it makes.
      if offset >= count {
        output += output[start..<(start + count)]
      } else {
        for step in 0..<count { output.append(output[start + step]) }
      }
    }
    guard output.count == size else { throw damaged() }
    return output
  }
}
