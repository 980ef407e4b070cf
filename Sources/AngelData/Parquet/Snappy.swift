/// Snappy's raw format: a length, then pieces that stand for themselves or repeat what came before.
///
/// Source: format_description.txt of google/snappy.
enum Snappy {
  /// The `size` bytes that `packed` stand for.
  static func unpacked(_ packed: ArraySlice<UInt8>, size: Int) throws(ParquetError) -> [UInt8] {
    var place = packed.startIndex
    let length = try Varint.read(packed, at: &place, bits: 35)
    // No piece says more than 64 bytes with three of its own.
    guard length == size, size <= packed.count * 24 else { throw damaged }
    var isSound = false
    let output = [UInt8](unsafeUninitializedCapacity: size) { output, made in
      packed[place...].withUnsafeBytes { isSound = unpack($0, into: output, &made) }
    }
    guard isSound else { throw damaged }
    return output
  }

  private static var damaged: ParquetError { .damaged("a page cannot be unpacked by snappy") }

  /// Fills `output`, of which `made` bytes are there at any time; false where the pieces do not make as many.
  private static func unpack(
    _ packed: UnsafeRawBufferPointer, into output: UnsafeMutableBufferPointer<UInt8>, _ made: inout Int
  ) -> Bool {
    var place = 0
    /// A number of `count` bytes, which are there.
    func number(_ count: Int) -> Int {
      defer { place += count }
      return (0..<count).reduce(0) { $0 | Int(packed[place + $1]) << (8 * $1) }
    }
    while place < packed.count {
      let tag = number(1)
      let kind = tag & 3
      let extra = kind == 0 ? max(0, tag >> 2 - 59) : kind == 3 ? 4 : kind
      guard packed.count - place >= extra else { return false }
      if kind == 0 {
        let count = 1 + (extra == 0 ? tag >> 2 : number(extra))
        guard packed.count - place >= count, output.count - made >= count else { return false }
        for step in 0..<count { output[made + step] = packed[place + step] }
        (place, made) = (place + count, made + count)
        continue
      }
      let high = kind == 1 ? (tag >> 5) << 8 : 0
      let count = kind == 1 ? tag >> 2 & 7 + 4 : tag >> 2 + 1
      let offset = high | number(extra)
      guard offset > 0, offset <= made, output.count - made >= count else { return false }
      // A byte at a time: the repeated part may reach into what it makes.
      for step in 0..<count { output[made + step] = output[made + step - offset] }
      made += count
    }
    return made == output.count
  }
}
