/// The elements of one JSON array; what is inside an element is checked when it is parsed.
struct ArrayCutter: RowCutter {
  private enum Place { case before, inside, after }

  private var place = Place.before
  private var scanned = 0
  private var depth = 0
  private var isInString = false
  private var isEscaped = false
  /// Bytes of the file before those that are given.
  private var consumed = 0

  mutating func next(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(CutError) -> Cut? {
    while scanned < bytes.count {
      defer { scanned += 1 }
      let byte = bytes[scanned]
      switch place {
      case .before:
        guard !Space.holds(byte) else { continue }
        guard byte == UInt8(ascii: "[") else {
          throw CutError(reason: "a .json file of rows is one array [ … ]; write one object a line as .jsonl")
        }
        place = .inside
        return cut(row: 0..<0)
      case .inside:
        if take(byte) { return cut(row: 0..<scanned) }
      case .after:
        guard Space.holds(byte) else {
          throw CutError(reason: "there is text after the array, from byte \(consumed)")
        }
      }
    }
    guard isLast else { return nil }
    if place == .after || place == .before { return nil }
    throw CutError(
      reason: "the array does not end: the file seems to be cut off at byte \(consumed + bytes.count)")
  }

  /// The row before the byte at hand, with which it ends.
  private mutating func cut(row: Range<Int>) -> Cut {
    let end = scanned + 1
    consumed += end
    // What is added when this byte is done with.
    scanned = -1
    return Cut(row: row, end: end)
  }

  /// Whether an element ends with this byte.
  private mutating func take(_ byte: UInt8) -> Bool {
    if isInString {
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else {
        isInString = byte != UInt8(ascii: "\"")
      }
      return false
    }
    switch byte {
    case UInt8(ascii: "\""): isInString = true
    case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
    case UInt8(ascii: "}"): depth -= 1
    case UInt8(ascii: "]"):
      depth -= 1
      guard depth < 0 else { return false }
      place = .after
      return true
    case UInt8(ascii: ","): return depth == 0
    default: break
    }
    return false
  }
}
