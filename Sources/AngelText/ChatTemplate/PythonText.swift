/// Python's rules for strings: sequences of code points, compared and searched without normalisation.
///
/// Swift's own `==`, `hasPrefix` and `split` work on grapheme clusters, where `"\r\n"` is one element and `é` has two
/// equal spellings; templates must see neither.
enum PythonText {
  /// `str.isspace` of one code point.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// The regular expression class `\w`.
  static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
      return ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
        || scalar == "_"
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
      .letterNumber, .otherNumber:
      return true
    default: return false
    }
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  static func equal(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

  /// Order by code points, which is also the order of UTF-8 bytes.
  static func less(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

  static func hasPrefix(_ text: String, _ prefix: String) -> Bool { text.utf8.starts(with: prefix.utf8) }

  static func hasSuffix(_ text: String, _ suffix: String) -> Bool {
    text.utf8.count >= suffix.utf8.count && text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
  }

  /// `str.strip` and its one-sided forms; without `characters`, space goes.
  static func strip(_ text: String, _ characters: String? = nil, left: Bool = true, right: Bool = true) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    let goes = { (scalar: Unicode.Scalar) in set.map { $0.contains(scalar) } ?? isSpace(scalar) }
    var slice = text.unicodeScalars[...]
    if left { slice = slice.drop(while: goes) }
    if right { while let last = slice.last, goes(last) { slice.removeLast() } }
    return String(slice)
  }

  // MARK: Search, on UTF-8 bytes

  /// Offsets of `needle`, which is not empty, without overlap.
  ///
  /// Knuth, Morris and Pratt's search: linear for every input, where the naive one would let a template spend hours on
  /// `'aaaa…ab' in 'aaaa…'`.
  static func occurrences(of needle: [UInt8], in text: [UInt8], limit: Int = .max) -> [Int] {
    guard limit > 0, !needle.isEmpty, needle.count <= text.count else { return [] }
    let borders = borders(of: needle)
    var result: [Int] = []
    var matched = 0
    for (position, byte) in text.enumerated() {
      while matched > 0, needle[matched] != byte { matched = borders[matched - 1] }
      if needle[matched] == byte { matched += 1 }
      guard matched == needle.count else { continue }
      result.append(position + 1 - matched)
      guard result.count < limit else { break }
      matched = 0
    }
    return result
  }

  /// For each prefix of `needle`, the length of the longest proper prefix that is also its suffix.
  private static func borders(of needle: [UInt8]) -> [Int] {
    var result = [Int](repeating: 0, count: needle.count)
    var length = 0
    for position in needle.indices.dropFirst() {
      while length > 0, needle[length] != needle[position] { length = result[length - 1] }
      if needle[length] == needle[position] { length += 1 }
      result[position] = length
    }
    return result
  }

  static func find(_ needle: [UInt8], in text: [UInt8]) -> Int? {
    needle.isEmpty ? 0 : occurrences(of: needle, in: text, limit: 1).first
  }

  static func contains(_ text: String, _ needle: String) -> Bool {
    find(Array(needle.utf8), in: Array(text.utf8)) != nil
  }

  /// Code point index of the first `needle`, or the last one.
  static func index(of needle: String, in text: String, last: Bool) -> Int? {
    let bytes = Array(text.utf8)
    let wanted = Array(needle.utf8)
    var offset: Int?
    if last {
      // Searching the mirror image keeps the last match linear, too.
      offset = find(wanted.reversed(), in: bytes.reversed()).map { bytes.count - $0 - wanted.count }
    } else {
      offset = find(wanted, in: bytes)
    }
    return offset.map { String(decoding: bytes[..<$0], as: UTF8.self).unicodeScalars.count }
  }

  static func count(of needle: String, in text: String) -> Int {
    needle.isEmpty ? text.unicodeScalars.count + 1 : occurrences(of: Array(needle.utf8), in: Array(text.utf8)).count
  }

  /// The pieces between cuts of `width` bytes at `offsets`.
  private static func pieces(_ bytes: [UInt8], cutAt offsets: [Int], width: Int) -> [String] {
    var result: [String] = []
    var start = 0
    for offset in offsets {
      result.append(String(decoding: bytes[start..<offset], as: UTF8.self))
      start = offset + width
    }
    result.append(String(decoding: bytes[start...], as: UTF8.self))
    return result
  }

  /// `str.split` with a separator that is not empty.
  static func split(_ text: String, separator: String, limit: Int = .max) -> [String] {
    let bytes = Array(text.utf8)
    let wanted = Array(separator.utf8)
    return pieces(bytes, cutAt: occurrences(of: wanted, in: bytes, limit: limit), width: wanted.count)
  }

  /// `str.rsplit` with a separator that is not empty.
  static func splitFromEnd(_ text: String, separator: String, limit: Int) -> [String] {
    let bytes = Array(text.utf8)
    let wanted = Array(separator.utf8)
    let mirrored = occurrences(of: wanted.reversed(), in: bytes.reversed(), limit: limit)
    return pieces(bytes, cutAt: mirrored.reversed().map { bytes.count - $0 - wanted.count }, width: wanted.count)
  }

  /// `str.split` without a separator: words between runs of space.
  static func words(_ text: String, limit: Int = .max) -> [String] {
    var result: [String] = []
    var rest = text.unicodeScalars[...].drop(while: isSpace)
    while !rest.isEmpty {
      guard result.count < limit else {
        result.append(String(rest))
        break
      }
      let word = rest.prefix { !isSpace($0) }
      result.append(String(word))
      rest = rest[word.endIndex...].drop(while: isSpace)
    }
    return result
  }

  /// `str.rsplit` without a separator.
  static func wordsFromEnd(_ text: String, limit: Int) -> [String] {
    let mirrored = words(string(text.unicodeScalars.reversed()), limit: limit)
    return mirrored.reversed().map { string($0.unicodeScalars.reversed()) }
  }

  /// `str.splitlines`.
  static func lines(_ text: String, keepEnds: Bool = false) -> [String] {
    var result: [String] = []
    var line = String.UnicodeScalarView()
    let scalars = Array(text.unicodeScalars)
    var index = 0
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      guard isLineEnd(scalar) else {
        line.append(scalar)
        continue
      }
      let isPair = scalar == "\r" && index < scalars.count && scalars[index] == "\n"
      if keepEnds { line.append(contentsOf: isPair ? ["\r", "\n"] : [scalar]) }
      if isPair { index += 1 }
      result.append(String(line))
      line = String.UnicodeScalarView()
    }
    if !line.isEmpty { result.append(String(line)) }
    return result
  }

  private static func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }

  /// `str.replace`; an empty `old` stands between all code points.
  static func replace(_ text: String, _ old: String, with new: String, limit: Int = .max) -> String {
    guard limit > 0 else { return text }
    if !old.isEmpty { return split(text, separator: old, limit: limit).joined(separator: new) }
    var result = new
    var done = 1
    for (index, scalar) in text.unicodeScalars.enumerated() {
      result.unicodeScalars.append(scalar)
      if done < limit, index >= 0 {
        result += new
        done += 1
      }
    }
    return result
  }

  // MARK: Case

  static func capitalized(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + String(text.unicodeScalars.dropFirst()).lowercased()
  }

  /// `str.title`: a cased letter after an uncased one is upper, the others lower.
  static func titled(_ text: String) -> String {
    var result = ""
    var isInside = false
    for scalar in text.unicodeScalars {
      result += isInside ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      isInside = scalar.properties.isCased
    }
    return result
  }

  static func swappedCase(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      result += scalar.properties.isUppercase ? scalar.properties.lowercaseMapping : scalar.properties.uppercaseMapping
    }
    return result
  }

  static func isUpper(_ text: String) -> Bool {
    let cased = text.unicodeScalars.filter(\.properties.isCased)
    return !cased.isEmpty && cased.allSatisfy(\.properties.isUppercase)
  }

  static func isLower(_ text: String) -> Bool {
    let cased = text.unicodeScalars.filter(\.properties.isCased)
    return !cased.isEmpty && cased.allSatisfy(\.properties.isLowercase)
  }

  static func isAlphabetic(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  /// Python's `repr` of a string.
  static func quoted(_ text: String) -> String {
    let quote: Unicode.Scalar = text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
    var result = String(quote)
    for scalar in text.unicodeScalars {
      switch scalar {
      case quote, "\\": result += "\\" + String(scalar)
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      default: if isPrintable(scalar) { result.unicodeScalars.append(scalar) } else { result += escaped(scalar) }
      }
    }
    return result + String(quote)
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7F }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  private static func escaped(_ scalar: Unicode.Scalar) -> String {
    let (letter, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
    return "\\" + letter + hexadecimal(scalar.value, width: width)
  }

  static func hexadecimal(_ value: UInt32, width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
