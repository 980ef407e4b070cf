import CUTF8Proc

extension BertNormalization {
  /// Cleaning, Chinese characters, accents, case, in this order, as BERT's `BasicTokenizer` does.
  func apply(to text: [UInt8], removesStart: inout Bool) throws(TokenizerError) -> [UInt8] {
    if let simple = simple(text, removesStart: &removesStart) { return simple }
    var result = spaced(text, removesStart: &removesStart)
    if stripsAccents {
      result = CharacterRewriting.withoutMarks(
        try UnicodeNormalization.normalize(result, to: .nfd), nonspacingOnly: true, removesStart: &removesStart)
    }
    return lowercases ? CharacterRewriting.lowercased(result) : result
  }

  /// ASCII needs one pass; nil for other text.
  private func simple(_ text: [UInt8], removesStart: inout Bool) -> [UInt8]? {
    guard text.allSatisfy({ $0 < 0x80 }) else { return nil }
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    for (index, byte) in text.enumerated() {
      switch byte {
      case 0x41...0x5A: output.append(lowercases ? byte | 0x20 : byte)
      case 0x20...0x7E: output.append(byte)
      case 0x09, 0x0A, 0x0D: output.append(cleansText ? 0x20 : byte)
      default:
        if !cleansText { output.append(byte) } else if index == 0 { removesStart = true }
      }
    }
    return output
  }

  private func spaced(_ text: [UInt8], removesStart: inout Bool) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count + text.count / 2)
    var removes = false
    text.withUnsafeBufferPointer { bytes in
      var position = 0
      while position < bytes.count {
        let (value, end) = bytes.scalar(at: position)
        if cleansText, Self.isDropped(value) {
          if position == 0 { removes = true }
        } else if cleansText, CharacterRewriting.isWhitespace(value) {
          output.append(0x20)
        } else if spacesChineseCharacters, Self.isChinese(value) {
          output.append(0x20)
          output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[position..<end]))
          output.append(0x20)
        } else {
          output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[position..<end]))
        }
        position = end
      }
    }
    if removes { removesStart = true }
    return output
  }

  /// U+0000, U+FFFD, and the assigned characters of general category C but for tab and line ends.
  private static func isDropped(_ value: UInt32) -> Bool {
    if value < 0x80 { return value < 0x20 && value != 0x09 && value != 0x0A && value != 0x0D || value == 0x7F }
    if value == 0xFFFD { return true }
    switch utf8proc_category(Int32(bitPattern: value)) {
    case UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CF, UTF8PROC_CATEGORY_CO, UTF8PROC_CATEGORY_CS:
      return CharacterRewriting.isKnown(value, toUnicode: 8)
    default: return false
    }
  }

  /// The CJK ideographs of BERT's `_is_chinese_char`.
  private static func isChinese(_ value: UInt32) -> Bool {
    guard value >= 0x3400 else { return false }
    return switch value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF,
      0xF900...0xFAFF, 0x2F800...0x2FA1F:
      true
    default: false
    }
  }
}

/// Rewriting and asking characters one by one.
enum CharacterRewriting {
  /// White_Space.
  static func isWhitespace(_ value: UInt32) -> Bool {
    switch value {
    case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// Whether a character is as old as a version of Unicode: the reference's tables of categories are those of Unicode 8,
  /// of marks in general those of Unicode 9.
  static func isKnown(_ value: UInt32, toUnicode version: Int) -> Bool {
    (Unicode.Scalar(value)?.properties.age?.major ?? 0) <= version
  }

  /// ASCII symbols and general category P.
  static func isPunctuation(_ value: UInt32) -> Bool {
    if value < 0x80 {
      return (0x21...0x2F).contains(value) || (0x3A...0x40).contains(value) || (0x5B...0x60).contains(value)
        || (0x7B...0x7E).contains(value)
    }
    switch utf8proc_category(Int32(bitPattern: value)) {
    case UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PD, UTF8PROC_CATEGORY_PS, UTF8PROC_CATEGORY_PE, UTF8PROC_CATEGORY_PI,
      UTF8PROC_CATEGORY_PF, UTF8PROC_CATEGORY_PO:
      return true
    default: return false
    }
  }

  /// Each character's own lower case: a sigma at the end of a word stays like the others.
  static func lowercased(_ text: [UInt8]) -> [UInt8] {
    rewritten(text) { scalar, bytes, output in
      if scalar.value < 0x80 {
        output.append((0x41...0x5A).contains(scalar.value) ? bytes[0] | 0x20 : bytes[0])
      } else if utf8proc_category(Int32(bitPattern: scalar.value)) == UTF8PROC_CATEGORY_LO {
        output.append(contentsOf: bytes)
      } else {
        output.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
      }
    }
  }

  /// Without marks: the nonspacing ones only, or all. `removesStart` becomes true when the first character goes.
  static func withoutMarks(_ text: [UInt8], nonspacingOnly: Bool, removesStart: inout Bool) -> [UInt8] {
    let output = rewritten(text) { scalar, bytes, output in
      if !isMark(scalar.value, nonspacingOnly: nonspacingOnly) { output.append(contentsOf: bytes) }
    }
    let first = text.withUnsafeBufferPointer { $0.isEmpty ? 0 : $0.scalar(at: 0).value }
    if isMark(first, nonspacingOnly: nonspacingOnly) { removesStart = true }
    return output
  }

  private static func isMark(_ value: UInt32, nonspacingOnly: Bool) -> Bool {
    guard value >= 0x300 else { return false }
    return switch utf8proc_category(Int32(bitPattern: value)) {
    // U+1885 and U+1886 were letters before Unicode 9.
    case UTF8PROC_CATEGORY_MN where nonspacingOnly: isKnown(value, toUnicode: 8) && value & ~0xF != 0x1880
    case UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MC, UTF8PROC_CATEGORY_ME:
      !nonspacingOnly && isKnown(value, toUnicode: 9)
    // These two were marks before Unicode 12.
    case UTF8PROC_CATEGORY_LO: !nonspacingOnly && value & ~1 == 0x1CF2
    default: false
    }
  }

  private static func rewritten(
    _ text: [UInt8], _ body: (Unicode.Scalar, UnsafeBufferPointer<UInt8>, inout [UInt8]) -> Void
  ) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    text.withUnsafeBufferPointer { bytes in
      var position = 0
      while position < bytes.count {
        let (value, end) = bytes.scalar(at: position)
        if let scalar = Unicode.Scalar(value) {
          body(scalar, UnsafeBufferPointer(rebasing: bytes[position..<end]), &output)
        }
        position = end
      }
    }
    return output
  }
}
