/// Splits a template into text and tags, and tags into tokens, with Jinja2's whitespace rules for `trim_blocks` and
/// `lstrip_blocks` switched on and one trailing newline dropped.
struct TemplateLexer {
  let source: [Unicode.Scalar]
  var position = 0
  var line = 1
  private(set) var result: [TemplateToken] = []
  /// Whether the tag before ended with a newline, so that spaces up to the next tag are indentation.
  private var isAtLineStart = true

  init(_ text: String) {
    source = Self.normalized(text)
  }

  /// Newlines of all kinds become `\n`; the last one goes.
  private static func normalized(_ text: String) -> [Unicode.Scalar] {
    var scalars: [Unicode.Scalar] = []
    var previous: Unicode.Scalar = " "
    for scalar in text.unicodeScalars {
      if scalar == "\r" { scalars.append("\n") } else if scalar != "\n" || previous != "\r" { scalars.append(scalar) }
      previous = scalar
    }
    if scalars.last == "\n" { scalars.removeLast() }
    return scalars
  }

  mutating func tokens() throws(ChatTemplateError) -> [TemplateToken] {
    while position < source.count { try textAndTag() }
    emit(.end)
    return result
  }

  mutating func emit(_ kind: TemplateToken.Kind) { result.append(TemplateToken(kind: kind, line: line)) }

  func failure(_ reason: String) -> ChatTemplateError { .syntax(line: line, reason: reason) }

  func starts(_ text: StaticString, at index: Int) -> Bool {
    guard index >= 0, index + text.utf8CodeUnitCount <= source.count else { return false }
    return text.withUTF8Buffer { bytes in
      for (offset, byte) in bytes.enumerated() where source[index + offset].value != UInt32(byte) { return false }
      return true
    }
  }

  /// Moves to `index`, counting lines.
  mutating func advance(to index: Int) {
    for scalar in source[position..<index] where scalar == "\n" { line += 1 }
    if index > position { isAtLineStart = source[index - 1] == "\n" }
    position = index
  }

  // MARK: Text

  private mutating func textAndTag() throws(ChatTemplateError) {
    var tag = position
    while tag < source.count, !isTag(at: tag) {
      tag += 1
    }
    guard tag < source.count else {
      emitText(upTo: source.count)
      return advance(to: source.count)
    }
    emitText(upTo: textEnd(beforeTagAt: tag))
    advance(to: tag)
    switch source[tag + 1] {
    case "#": try comment()
    case "{": try self.tag(ending: "}}", begin: .outputBegin, end: .outputEnd)
    default:
      if let bodyStart = rawBodyStart() {
        try raw(from: bodyStart)
      } else {
        try self.tag(ending: "%}", begin: .blockBegin, end: .blockEnd)
      }
    }
  }

  private func isTag(at index: Int) -> Bool {
    source[index] == "{" && (starts("{{", at: index) || starts("{%", at: index) || starts("{#", at: index))
  }

  private mutating func emitText(upTo end: Int) {
    guard end > position else { return }
    var text = String.UnicodeScalarView()
    text.append(contentsOf: source[position..<end])
    emit(.data(String(text)))
  }

  /// Where the text from `position` to a tag ends once `-` or `lstrip_blocks` has cut it.
  private func textEnd(beforeTagAt tag: Int) -> Int {
    let sign: Unicode.Scalar? = tag + 2 < source.count ? source[tag + 2] : nil
    var end = tag
    if sign == "-" {
      while end > position, PythonText.isSpace(source[end - 1]) { end -= 1 }
      return end
    }
    if sign == "+" || source[tag + 1] == "{" { return tag }
    while end > position, source[end - 1] != "\n" {
      guard PythonText.isSpace(source[end - 1]) else { return tag }
      end -= 1
    }
    return end > position || isAtLineStart ? end : tag
  }

  func skipSpaces(from index: Int) -> Int {
    var index = index
    while index < source.count, PythonText.isSpace(source[index]) { index += 1 }
    return index
  }

  /// Past a tag's end at `index`, with `-` taking all space and the plain form of blocks one newline.
  private func afterEnd(at index: Int, sign: Unicode.Scalar?, trimsNewline: Bool) -> Int {
    let after = index + (sign == nil ? 2 : 3)
    if sign == "-" { return skipSpaces(from: after) }
    return sign == nil && trimsNewline && after < source.count && source[after] == "\n" ? after + 1 : after
  }

  private mutating func comment() throws(ChatTemplateError) {
    var end = position + 2
    while end < source.count, !starts("#}", at: end) { end += 1 }
    guard end < source.count else { throw failure("a comment is not closed, expected '#}'") }
    let sign = source[end - 1]
    // `{#-#}` opens and closes with the one minus.
    let hasSign = (sign == "-" || sign == "+") && end - 1 > position + 1
    let closing = hasSign ? end - 1 : end
    advance(to: afterEnd(at: closing, sign: hasSign ? sign : nil, trimsNewline: true))
  }

  // MARK: Raw

  /// Where the body starts if the block at `position` is `{% raw %}`.
  private func rawBodyStart() -> Int? {
    var index = position + 2
    if index < source.count, source[index] == "-" || source[index] == "+" { index += 1 }
    index = skipSpaces(from: index)
    guard starts("raw", at: index) else { return nil }
    index = skipSpaces(from: index + 3)
    if starts("-%}", at: index) { return skipSpaces(from: index + 3) }
    return starts("%}", at: index) ? index + 2 : nil
  }

  private mutating func raw(from bodyStart: Int) throws(ChatTemplateError) {
    advance(to: bodyStart)
    var tag = bodyStart
    while tag < source.count {
      if starts("{%", at: tag), let after = rawEnd(at: tag) {
        emitText(upTo: textEnd(beforeTagAt: tag))
        return advance(to: after)
      }
      tag += 1
    }
    throw failure("a raw block is not closed, expected '{% endraw %}'")
  }

  private func rawEnd(at tag: Int) -> Int? {
    var index = tag + 2
    if index < source.count, source[index] == "-" || source[index] == "+" { index += 1 }
    index = skipSpaces(from: index)
    guard starts("endraw", at: index) else { return nil }
    index = skipSpaces(from: index + 6)
    if starts("%}", at: index) { return afterEnd(at: index, sign: nil, trimsNewline: true) }
    guard starts("-%}", at: index) || starts("+%}", at: index) else { return nil }
    return afterEnd(at: index, sign: source[index], trimsNewline: true)
  }

  // MARK: Tags

  private mutating func tag(
    ending end: StaticString, begin: TemplateToken.Kind, end endKind: TemplateToken.Kind
  ) throws(ChatTemplateError) {
    emit(begin)
    var start = position + 2
    if start < source.count, source[start] == "-" || source[start] == "+" { start += 1 }
    advance(to: start)
    var brackets: [Unicode.Scalar] = []
    while true {
      advance(to: skipSpaces(from: position))
      guard position < source.count else { throw failure("a tag is not closed, expected '\(end)'") }
      if brackets.isEmpty, let after = tagEnd(end, isBlock: endKind == .blockEnd) {
        emit(endKind)
        return advance(to: after)
      }
      try token(&brackets)
    }
  }

  private func tagEnd(_ end: StaticString, isBlock: Bool) -> Int? {
    if starts(end, at: position) { return afterEnd(at: position, sign: nil, trimsNewline: isBlock) }
    let sign = source[position]
    guard sign == "-" || (sign == "+" && isBlock), starts(end, at: position + 1) else { return nil }
    return afterEnd(at: position, sign: sign, trimsNewline: isBlock)
  }
}
