/// Why a JSON text was refused, with the byte where it went wrong.
public struct JSONError: DescribedError, Equatable {
  public let reason: String
  /// Byte offset from the start of the text.
  public let offset: Int
  public var description: String { "invalid JSON at byte \(offset): \(reason)" }
}

extension JSONValue {
  /// Parses one JSON text (RFC 8259, UTF-8), refusing trailing bytes and nesting deeper than `maximumDepth`. Of equal keys
  /// the last counts, unless a format forbids them.
  public init(
    parsing bytes: some Collection<UInt8>, maximumDepth: Int = 256, refusingEqualKeys: Bool = false
  ) throws(JSONError) {
    let contiguous = ContiguousArray(bytes)
    var parser = JSONParser(bytes: contiguous, maximumDepth: maximumDepth, refusesEqualKeys: refusingEqualKeys)
    self = try parser.document()
  }

  /// Parses a JSON text held in a string.
  public init(parsing text: String) throws(JSONError) { try self.init(parsing: text.utf8) }
}

private struct JSONParser {
  let bytes: ContiguousArray<UInt8>
  let maximumDepth: Int
  let refusesEqualKeys: Bool
  var position = 0

  init(bytes: ContiguousArray<UInt8>, maximumDepth: Int, refusesEqualKeys: Bool) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
    self.refusesEqualKeys = refusesEqualKeys
  }

  mutating func document() throws(JSONError) -> JSONValue {
    let result = try value(depth: 0)
    skipSpace()
    guard position == bytes.count else { throw failure("text after the end of the document") }
    return result
  }

  func failure(_ reason: String) -> JSONError { JSONError(reason: reason, offset: position) }

  func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth <= maximumDepth else { throw failure("nested deeper than \(maximumDepth)") }
    skipSpace()
    switch peek() {
    case UInt8(ascii: "{"): return .object(try object(depth: depth))
    case UInt8(ascii: "["): return .array(try array(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try number()
    case nil: throw failure("the text ends where a value is expected")
    case let byte?: throw failure("unexpected byte \(byte) where a value is expected")
    }
  }

  mutating func literal(_ word: StaticString, _ result: JSONValue) throws(JSONError) -> JSONValue {
    let count = word.utf8CodeUnitCount
    guard position + count <= bytes.count else { throw failure("the text ends inside '\(word)'") }
    for (offset, byte) in "\(word)".utf8.enumerated() where bytes[position + offset] != byte {
      throw failure("expected '\(word)'")
    }
    position += count
    return result
  }

  mutating func object(depth: Int) throws(JSONError) -> JSONObject {
    position += 1
    var result = JSONObject()
    skipSpace()
    if peek() == UInt8(ascii: "}") {
      position += 1
      return result
    }
    while true {
      skipSpace()
      guard peek() == UInt8(ascii: "\"") else { throw failure("expected a string as key") }
      let key = try string()
      skipSpace()
      guard peek() == UInt8(ascii: ":") else { throw failure("expected ':' after key '\(key)'") }
      position += 1
      let count = result.members.count
      result[key] = try value(depth: depth + 1)
      if refusesEqualKeys, result.members.count == count { throw failure("key '\(key.prefix(80))' stands there twice") }
      skipSpace()
      guard let byte = peek() else { throw failure("the text ends inside an object") }
      position += 1
      if byte == UInt8(ascii: "}") { return result }
      guard byte == UInt8(ascii: ",") else { throw failure("expected ',' or '}' in an object") }
    }
  }

  mutating func array(depth: Int) throws(JSONError) -> [JSONValue] {
    position += 1
    var result: [JSONValue] = []
    skipSpace()
    if peek() == UInt8(ascii: "]") {
      position += 1
      return result
    }
    while true {
      result.append(try value(depth: depth + 1))
      skipSpace()
      guard let byte = peek() else { throw failure("the text ends inside an array") }
      position += 1
      if byte == UInt8(ascii: "]") { return result }
      guard byte == UInt8(ascii: ",") else { throw failure("expected ',' or ']' in an array") }
    }
  }

  mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    if peek() == UInt8(ascii: "-") { position += 1 }
    let digitsStart = position
    let digits = skipDigits()
    guard digits > 0 else { throw failure("expected a digit") }
    if digits > 1, bytes[digitsStart] == UInt8(ascii: "0") { throw failure("a number may not start with 0") }
    var isInteger = true
    if peek() == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      guard skipDigits() > 0 else { throw failure("expected a digit after '.'") }
    }
    if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
      isInteger = false
      position += 1
      if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { position += 1 }
      guard skipDigits() > 0 else { throw failure("expected a digit in the exponent") }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else { throw failure("number '\(text)' is out of range") }
    return .number(value)
  }

  mutating func skipDigits() -> Int {
    let start = position
    while let byte = peek(), byte >= 0x30, byte <= 0x39 { position += 1 }
    return position - start
  }

  mutating func string() throws(JSONError) -> String {
    position += 1
    let start = position
    while let byte = peek(), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
    guard peek() != UInt8(ascii: "\"") else {
      defer { position += 1 }
      return try text(bytes[start..<position])
    }
    var buffer = ContiguousArray(bytes[start..<position])
    while true {
      guard let byte = peek() else { throw failure("the text ends inside a string") }
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return try text(buffer[...])
      case UInt8(ascii: "\\"): try escape(into: &buffer)
      case 0..<0x20: throw failure("control character \(byte) in a string")
      default: buffer.append(byte)
      }
    }
  }

  func text(_ slice: ArraySlice<UInt8>) throws(JSONError) -> String {
    guard let result = String(validating: slice, as: UTF8.self) else { throw failure("a string is not valid UTF-8") }
    return result
  }

  mutating func escape(into buffer: inout ContiguousArray<UInt8>) throws(JSONError) {
    guard let byte = peek() else { throw failure("the text ends inside an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
    case UInt8(ascii: "b"): buffer.append(0x08)
    case UInt8(ascii: "f"): buffer.append(0x0C)
    case UInt8(ascii: "n"): buffer.append(0x0A)
    case UInt8(ascii: "r"): buffer.append(0x0D)
    case UInt8(ascii: "t"): buffer.append(0x09)
    case UInt8(ascii: "u"): buffer.append(contentsOf: String(try unicodeEscape()).utf8)
    default: throw failure("unknown escape '\\\(Character(UnicodeScalar(byte)))'")
    }
  }

  mutating func unicodeEscape() throws(JSONError) -> Character {
    let first = try fourHexDigits()
    if (0xD800..<0xDC00).contains(first) {
      guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
      else { throw failure("a high surrogate without its low half") }
      position += 2
      let second = try fourHexDigits()
      guard (0xDC00..<0xE000).contains(second),
        let scalar = UnicodeScalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      else { throw failure("a high surrogate without its low half") }
      return Character(scalar)
    }
    guard let scalar = UnicodeScalar(first) else { throw failure("a lone low surrogate") }
    return Character(scalar)
  }

  mutating func fourHexDigits() throws(JSONError) -> UInt32 {
    guard position + 4 <= bytes.count else { throw failure("the text ends inside a \\u escape") }
    var result: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(UnicodeScalar(bytes[position])).hexDigitValue else {
        throw failure("expected four hexadecimal digits after \\u")
      }
      result = result << 4 | UInt32(digit)
      position += 1
    }
    return result
  }
}
