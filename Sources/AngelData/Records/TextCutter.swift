/// A text as one row, in pieces where it is long.
///
/// Pieces end at a line end between two printed characters, where tokenizers that cut texts into words cut too, so that
/// their tokens are those of the whole text; in a text without any, at a space or between two characters.
struct TextCutter: RowCutter {
  /// The most bytes of a piece.
  static let limit = 4 << 20

  private let limit: Int

  init(limit: Int = limit) { self.limit = limit }

  mutating func next(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(CutError) -> Cut? {
    guard bytes.count > limit else {
      return isLast && !bytes.isEmpty ? Cut(row: 0..<bytes.count, end: bytes.count) : nil
    }
    let end = cutPlace(bytes)
    return Cut(row: 0..<end, end: end, continues: true)
  }

  /// Where a piece of at most `limit` bytes ends best.
  private func cutPlace(_ bytes: UnsafeRawBufferPointer) -> Int {
    let range = (max(2, limit / 2)..<limit).reversed()
    func isLineEnd(_ place: Int) -> Bool { bytes[place - 1] == UInt8(ascii: "\n") }
    if let place = range.first(where: {
      isLineEnd($0) && !Space.holds(bytes[$0 - 2]) && !Space.holds(bytes[$0])
    }) {
      return place
    }
    if let place = range.first(where: isLineEnd) ?? range.first(where: { bytes[$0] == UInt8(ascii: " ") }) {
      return place
    }
    // Not inside a character: its later bytes are 10xxxxxx, three at most.
    return (max(1, limit - 3)...limit).reversed().first { bytes[$0] & 0xC0 != 0x80 } ?? limit
  }
}
