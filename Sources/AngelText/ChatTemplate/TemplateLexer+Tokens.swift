/// The tokens inside a tag: names, numbers, strings and symbols.
extension TemplateLexer {
  mutating func token(_ brackets: inout [Unicode.Scalar]) throws(ChatTemplateError) {
    let scalar = source[position]
    switch scalar {
    case "0"..."9": try number()
    case "'", "\"": try string(quote: scalar)
    default:
      if PythonText.isWord(scalar) { return name() }
      try symbol(&brackets)
    }
  }

  private func text(_ range: Range<Int>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: source[range])
    return String(view)
  }

  private mutating func name() {
    var end = position
    while end < source.count, PythonText.isWord(source[end]) { end += 1 }
    emit(.name(text(position..<end)))
    advance(to: end)
  }

  // MARK: Numbers

  private mutating func number() throws(ChatTemplateError) {
    if source[position] == "0", position + 1 < source.count, let radix = Self.radix(source[position + 1]) {
      return try prefixedInteger(radix: radix)
    }
    var end = digits(from: position)
    let integerEnd = end
    // After a dot, as in `pair.0.1`, digits are an index.
    if position == 0 || source[position - 1] != "." {
      if end + 1 < source.count, source[end] == ".", ("0"..."9").contains(source[end + 1]) {
        end = digits(from: end + 1)
      }
      end = exponent(from: end)
    }
    let written = text(position..<end).replacing("_", with: "")
    if end > integerEnd {
      guard let value = Double(written) else { throw failure("'\(written)' is not a number") }
      emit(.float(value))
    } else {
      guard let value = Int(written) else { throw failure("integer '\(written)' does not fit 64 bits") }
      guard value == 0 || source[position] != "0" else { throw failure("integer '\(written)' starts with 0") }
      emit(.integer(value))
    }
    advance(to: end)
  }

  private static func radix(_ scalar: Unicode.Scalar) -> Int? {
    switch scalar {
    case "x", "X": 16
    case "o", "O": 8
    case "b", "B": 2
    default: nil
    }
  }

  private mutating func prefixedInteger(radix: Int) throws(ChatTemplateError) {
    var end = position + 2
    while end < source.count, PythonText.isWord(source[end]) { end += 1 }
    let digits = text(position + 2..<end).replacing("_", with: "")
    guard let value = Int(digits, radix: radix) else { throw failure("'\(text(position..<end))' is not an integer") }
    emit(.integer(value))
    advance(to: end)
  }

  private func digits(from index: Int) -> Int {
    var index = index
    while index < source.count {
      if source[index] == "_" {
        guard index + 1 < source.count, ("0"..."9").contains(source[index + 1]) else { break }
      } else if !("0"..."9").contains(source[index]) {
        break
      }
      index += 1
    }
    return index
  }

  private func exponent(from index: Int) -> Int {
    guard index < source.count, source[index] == "e" || source[index] == "E" else { return index }
    var digit = index + 1
    if digit < source.count, source[digit] == "+" || source[digit] == "-" { digit += 1 }
    guard digit < source.count, ("0"..."9").contains(source[digit]) else { return index }
    return digits(from: digit)
  }

  // MARK: Strings

  private mutating func string(quote: Unicode.Scalar) throws(ChatTemplateError) {
    var view = String.UnicodeScalarView()
    var index = position + 1
    while index < source.count, source[index] != quote {
      if source[index] == "\\" {
        index = try escape(at: index, into: &view)
      } else {
        view.append(source[index])
        index += 1
      }
    }
    guard index < source.count else { throw failure("a string is not closed, expected \(quote)") }
    emit(.string(String(view)))
    advance(to: index + 1)
  }

  /// Python's escapes; an unknown one stays as written.
  private func escape(at index: Int, into view: inout String.UnicodeScalarView) throws(ChatTemplateError) -> Int {
    guard index + 1 < source.count else { return index + 1 }
    let letter = source[index + 1]
    switch letter {
    case "\n": break
    case "\\", "'", "\"": view.append(letter)
    case "a": view.append("\u{07}")
    case "b": view.append("\u{08}")
    case "f": view.append("\u{0C}")
    case "n": view.append("\n")
    case "r": view.append("\r")
    case "t": view.append("\t")
    case "v": view.append("\u{0B}")
    case "x": return try codePoint(from: index + 2, digits: 2, into: &view)
    case "u": return try codePoint(from: index + 2, digits: 4, into: &view)
    case "U": return try codePoint(from: index + 2, digits: 8, into: &view)
    case "N": throw .unsupported(line: line, construct: "the string escape '\\N{…}'")
    case "0"..."7": return octal(from: index + 1, into: &view)
    default:
      view.append("\\")
      view.append(letter)
    }
    return index + 2
  }

  private func codePoint(
    from start: Int, digits: Int, into view: inout String.UnicodeScalarView
  ) throws(ChatTemplateError) -> Int {
    let end = min(start + digits, source.count)
    guard end - start == digits, let value = UInt32(text(start..<end), radix: 16), let scalar = Unicode.Scalar(value)
    else { throw failure("a string escape is not a code point of \(digits) hexadecimal digits") }
    view.append(scalar)
    return end
  }

  private func octal(from start: Int, into view: inout String.UnicodeScalarView) -> Int {
    var value: UInt32 = 0
    var index = start
    while index < min(start + 3, source.count), ("0"..."7").contains(source[index]) {
      value = value * 8 + source[index].value - 48
      index += 1
    }
    // Three octal digits reach 511, well below the surrogates.
    if let scalar = Unicode.Scalar(value) { view.append(scalar) }
    return index
  }

  // MARK: Symbols

  private static let longSymbols: [StaticString] = ["**", "//", "==", "!=", ">=", "<="]

  private mutating func symbol(_ brackets: inout [Unicode.Scalar]) throws(ChatTemplateError) {
    for symbol in Self.longSymbols where starts(symbol, at: position) {
      emit(.symbol("\(symbol)"))
      return advance(to: position + 2)
    }
    let scalar = source[position]
    switch scalar {
    case "(", "[", "{": brackets.append(scalar)
    case ")", "]", "}":
      let expected: Unicode.Scalar = scalar == ")" ? "(" : scalar == "]" ? "[" : "{"
      guard let open = brackets.popLast() else { throw failure("unexpected '\(scalar)'") }
      guard open == expected else { throw failure("unexpected '\(scalar)', '\(open)' is still open") }
    case "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ":", "|", ",", ";": break
    default: throw failure("unexpected character '\(scalar)'")
    }
    emit(.symbol(String(scalar)))
    advance(to: position + 1)
  }
}
