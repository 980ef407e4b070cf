/// Finds where rows begin and end without parsing them.
enum RecordScanner {
  /// The lines of `bytes` that are not blank.
  static func lines(_ bytes: UnsafeRawBufferPointer) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      if bytes[start..<end].contains(where: { !isSpace($0) }) { ranges.append(start..<end) }
      start = end + 1
    }
    return ranges
  }

  /// The elements of the JSON array that `bytes` hold. What is inside an element is checked when it is parsed.
  static func elements(_ bytes: UnsafeRawBufferPointer, path: String) throws(DataError) -> [Range<Int>] {
    guard let open = bytes.firstIndex(where: { !isSpace($0) }) else { return [] }
    guard bytes[open] == UInt8(ascii: "[") else {
      throw .unusable(path: path, reason: "a .json file of rows is one array [ … ]; write one object a line as .jsonl")
    }
    var scan = ElementScan(start: open + 1)
    for position in (open + 1)..<bytes.count {
      scan.take(bytes[position], at: position, bytes)
      if let end = scan.end {
        guard !bytes[(end + 1)...].contains(where: { !isSpace($0) }) else {
          throw .unusable(path: path, reason: "there is text after the array, from byte \(end + 1)")
        }
        return scan.ranges
      }
    }
    throw .unusable(path: path, reason: "the array does not end: the file seems to be cut off at byte \(bytes.count)")
  }

  static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}

/// A walk over the elements of an array: depth of brackets, inside or outside of a string.
private struct ElementScan {
  private(set) var ranges: [Range<Int>] = []
  /// Where the array's closing bracket stands.
  private(set) var end: Int?
  private var start: Int
  private var depth = 0
  private var isInString = false
  private var isEscaped = false

  init(start: Int) { self.start = start }

  mutating func take(_ byte: UInt8, at position: Int, _ bytes: UnsafeRawBufferPointer) {
    if isInString {
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else {
        isInString = byte != UInt8(ascii: "\"")
      }
      return
    }
    switch byte {
    case UInt8(ascii: "\""): isInString = true
    case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
    case UInt8(ascii: "}"): depth -= 1
    case UInt8(ascii: "]"):
      depth -= 1
      if depth < 0 { finish(before: position, bytes); end = position }
    case UInt8(ascii: ",") where depth == 0:
      finish(before: position, bytes)
      start = position + 1
    default: break
    }
  }

  private mutating func finish(before position: Int, _ bytes: UnsafeRawBufferPointer) {
    guard bytes[start..<position].contains(where: { !RecordScanner.isSpace($0) }) else { return }
    ranges.append(start..<position)
  }
}
