/// Turns tokens into statements; expressions are in `TemplateParser+Expressions.swift`.
struct TemplateParser {
  let tokens: [TemplateToken]
  var position = 0
  var depth = 0
  /// Nested loops around the current statement, for `break` and `continue`.
  private var loops = 0
  /// Names read so far; a macro takes the difference to learn whether it uses `caller`.
  var namesRead: Set<String> = []

  private static let maximumDepth = 100

  init(tokens: [TemplateToken]) {
    self.tokens = tokens
  }

  mutating func template() throws(ChatTemplateError) -> [TemplateStatement] {
    let body = try statements(until: [])
    guard current.kind == .end else { throw unexpected() }
    return body
  }

  // MARK: The token stream

  var current: TemplateToken { tokens[position] }
  var line: Int { current.line }

  func failure(_ reason: String) -> ChatTemplateError { .syntax(line: line, reason: reason) }

  func unexpected() -> ChatTemplateError { failure("unexpected \(current.description)") }

  /// Moves on; the last token stays, so looking past the end is harmless.
  mutating func advance() { if position + 1 < tokens.count { position += 1 } }

  func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

  func isWord(_ word: String) -> Bool { current.kind == .name(word) }

  func nextIs(_ kind: TemplateToken.Kind) -> Bool { position + 1 < tokens.count && tokens[position + 1].kind == kind }

  mutating func skip(symbol: String) -> Bool {
    guard isSymbol(symbol) else { return false }
    advance()
    return true
  }

  mutating func skip(word: String) -> Bool {
    guard isWord(word) else { return false }
    advance()
    return true
  }

  mutating func expect(_ kind: TemplateToken.Kind) throws(ChatTemplateError) {
    guard current.kind == kind else {
      throw failure("expected \(TemplateToken(kind: kind, line: 0).description), found \(current.description)")
    }
    advance()
  }

  mutating func expectName() throws(ChatTemplateError) -> String {
    guard case .name(let name) = current.kind else {
      throw failure("expected a name, found \(current.description)")
    }
    guard let first = name.unicodeScalars.first, !first.properties.generalCategory.isNumber else {
      throw failure("'\(name)' is not a name")
    }
    advance()
    return name
  }

  /// Enters one level of nesting; the caller leaves it with `depth -= 1`.
  mutating func descend() throws(ChatTemplateError) {
    depth += 1
    guard depth <= Self.maximumDepth else {
      throw .limit(line: line, reason: "statements and expressions nest deeper than \(Self.maximumDepth)")
    }
  }

  // MARK: Statements

  /// Statements up to a block that begins with one of `ends`, which stays the current token.
  mutating func statements(until ends: [String]) throws(ChatTemplateError) -> [TemplateStatement] {
    try descend()
    defer { depth -= 1 }
    var result: [TemplateStatement] = []
    while true {
      let line = line
      switch current.kind {
      case .data(let text):
        advance()
        result.append(TemplateStatement(kind: .text(text), line: line))
      case .outputBegin:
        advance()
        let expression = try tupleOrExpression()
        try expect(.outputEnd)
        result.append(TemplateStatement(kind: .output(expression), line: line))
      case .blockBegin:
        advance()
        if case .name(let word) = current.kind, ends.contains(word) { return result }
        result.append(contentsOf: try statement())
        try expect(.blockEnd)
      case .end:
        guard ends.isEmpty else {
          throw failure("the template ends, expected '{% \(ends.joined(separator: " %}' or '{% ")) %}'")
        }
        return result
      default: throw unexpected()
      }
    }
  }

  /// The body of a block: the rest of the opening tag, statements, and the closing word, which is consumed.
  private mutating func body(until end: String) throws(ChatTemplateError) -> [TemplateStatement] {
    _ = skip(symbol: ":")
    try expect(.blockEnd)
    let result = try statements(until: [end])
    advance()
    return result
  }

  private mutating func statement() throws(ChatTemplateError) -> [TemplateStatement] {
    let line = line
    let word = try expectName()
    let kind: TemplateStatement.Kind
    switch word {
    case "if": kind = try conditional()
    case "for": kind = try loop()
    case "set": kind = try assignment()
    case "macro": kind = try macro()
    case "call": kind = try callBlock()
    case "filter": kind = try filterBlock()
    case "with": kind = try scoped()
    // Transformers marks the assistant's own tokens with this block; the text is what matters here.
    case "generation": kind = .scoped([], body: try body(until: "endgeneration"))
    case "break", "continue":
      guard loops > 0 else { throw .syntax(line: line, reason: "'\(word)' outside of a loop") }
      kind = word == "break" ? .breakLoop : .continueLoop
    case "extends", "include", "import", "from", "block", "do", "autoescape", "trans", "debug":
      throw .unsupported(line: line, construct: "the statement '\(word)'")
    default: throw .syntax(line: line, reason: "unknown statement '\(word)'")
    }
    return [TemplateStatement(kind: kind, line: line)]
  }

  private mutating func conditional() throws(ChatTemplateError) -> TemplateStatement.Kind {
    var branches: [TemplateStatement.Branch] = []
    while true {
      let condition = try tupleOrExpression(allowsConditional: false)
      _ = skip(symbol: ":")
      try expect(.blockEnd)
      let body = try statements(until: ["elif", "else", "endif"])
      branches.append(TemplateStatement.Branch(condition: condition, body: body))
      if skip(word: "elif") { continue }
      if skip(word: "else") { return .conditional(branches, otherwise: try self.body(until: "endif")) }
      advance()
      return .conditional(branches, otherwise: [])
    }
  }

  private mutating func loop() throws(ChatTemplateError) -> TemplateStatement.Kind {
    let target = try target(allowsAttribute: false)
    try expect(.name("in"))
    let sequence = try tupleOrExpression(allowsConditional: false, endWords: ["recursive"])
    let filter = skip(word: "if") ? try expression() : nil
    guard !isWord("recursive") else { throw .unsupported(line: line, construct: "a recursive loop") }
    _ = skip(symbol: ":")
    try expect(.blockEnd)
    loops += 1
    let body = try statements(until: ["endfor", "else"])
    loops -= 1
    let otherwise = skip(word: "else") ? try self.body(until: "endfor") : []
    if otherwise.isEmpty { _ = skip(word: "endfor") }
    return .loop(TemplateLoop(target: target, sequence: sequence, filter: filter, body: body, otherwise: otherwise))
  }

  private mutating func assignment() throws(ChatTemplateError) -> TemplateStatement.Kind {
    let target = try target(allowsAttribute: true)
    if skip(symbol: "=") { return .assignment(target, try tupleOrExpression()) }
    let filters = try filterChain()
    return .blockAssignment(
      target, filters: filters, body: try isolated { p throws(ChatTemplateError) in try p.body(until: "endset") })
  }

  private mutating func filterBlock() throws(ChatTemplateError) -> TemplateStatement.Kind {
    var filters = [try filter()]
    filters += try filterChain()
    return .filterBlock(
      filters: filters, body: try isolated { p throws(ChatTemplateError) in try p.body(until: "endfilter") })
  }

  private mutating func scoped() throws(ChatTemplateError) -> TemplateStatement.Kind {
    var bindings: [TemplateStatement.Binding] = []
    while current.kind != .blockEnd {
      if !bindings.isEmpty { try expect(.symbol(",")) }
      let target = try target(allowsAttribute: false)
      try expect(.symbol("="))
      bindings.append(TemplateStatement.Binding(target: target, value: try expression()))
    }
    return .scoped(bindings, body: try body(until: "endwith"))
  }

  private mutating func macro() throws(ChatTemplateError) -> TemplateStatement.Kind {
    let name = try expectName()
    return .macro(try macro(named: name, parameters: try parameters(), end: "endmacro"))
  }

  private mutating func callBlock() throws(ChatTemplateError) -> TemplateStatement.Kind {
    let parameters = isSymbol("(") ? try parameters() : []
    let call = try expression()
    guard case .postfix(_, let steps) = call, case .call = steps.last?.operation else {
      throw failure("a call block needs a call")
    }
    return .callBlock(call, caller: try macro(named: "caller", parameters: parameters, end: "endcall"))
  }

  private mutating func macro(
    named name: String, parameters: [TemplateMacro.Parameter], end: String
  ) throws(ChatTemplateError) -> TemplateMacro {
    let outer = namesRead
    namesRead = []
    let body = try isolated { p throws(ChatTemplateError) in try p.body(until: end) }
    defer { namesRead.formUnion(outer) }
    return TemplateMacro(
      name: name, parameters: parameters, body: body, usesCaller: namesRead.contains("caller"),
      usesExtraPositional: namesRead.contains("varargs"), usesExtraKeyword: namesRead.contains("kwargs"))
  }

  /// Parses a body that is not part of the loop around it: `break` may not leave it.
  private mutating func isolated(
    _ parse: (inout TemplateParser) throws(ChatTemplateError) -> [TemplateStatement]
  ) throws(ChatTemplateError) -> [TemplateStatement] {
    let outer = loops
    loops = 0
    let result = try parse(&self)
    loops = outer
    return result
  }

  private mutating func parameters() throws(ChatTemplateError) -> [TemplateMacro.Parameter] {
    try expect(.symbol("("))
    var result: [TemplateMacro.Parameter] = []
    while !isSymbol(")") {
      if !result.isEmpty { try expect(.symbol(",")) }
      let name = try expectName()
      let standard = skip(symbol: "=") ? try expression() : nil
      if standard == nil, result.last?.standard != nil { throw failure("parameter '\(name)' needs a default value") }
      result.append(TemplateMacro.Parameter(name: name, standard: standard))
    }
    advance()
    return result
  }

  // MARK: Targets

  private mutating func target(allowsAttribute: Bool) throws(ChatTemplateError) -> TemplateTarget {
    var targets = [try singleTarget(allowsAttribute: allowsAttribute)]
    guard isSymbol(",") else { return targets[0] }
    while skip(symbol: ",") {
      if isWord("in") || isSymbol("=") || isSymbol(")") { break }
      targets.append(try singleTarget(allowsAttribute: allowsAttribute))
    }
    return .tuple(targets)
  }

  private mutating func singleTarget(allowsAttribute: Bool) throws(ChatTemplateError) -> TemplateTarget {
    if skip(symbol: "(") {
      try descend()
      defer { depth -= 1 }
      let target = try target(allowsAttribute: allowsAttribute)
      try expect(.symbol(")"))
      return target
    }
    let name = try expectName()
    if allowsAttribute, skip(symbol: ".") { return .attribute(namespace: name, attribute: try expectName()) }
    guard !["true", "True", "false", "False", "none", "None"].contains(name) else {
      throw failure("cannot assign to '\(name)'")
    }
    return .name(name)
  }
}

extension Unicode.GeneralCategory {
  fileprivate var isNumber: Bool { self == .decimalNumber || self == .letterNumber || self == .otherNumber }
}
