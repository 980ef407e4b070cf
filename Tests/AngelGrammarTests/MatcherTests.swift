import AngelCore
import AngelTesting
import Testing

@testable import AngelGrammar

@Suite struct MatcherTests {
  private static let seeds = 0..<(Environment.current().runsAllTests ? 60 : 8)

  @Test("the matcher accepts what the definition of a grammar accepts, for random grammars", arguments: seeds)
  func recognition(_ seed: Int) throws {
    var made = RandomGrammar(seed: UInt64(seed))
    for _ in 0..<25 {
      let grammar = made.next()
      guard let automaton = try? GrammarAutomaton(grammar) else { continue }
      var states = ParseStates(automaton)
      var texts: [[UInt8]] = [[]]
      for length in 0...5 {
        for text in texts where text.count == length {
          let state = text.reduce(states.start()) { $0 == ParseStates.dead ? $0 : states.next($0, $1) }
          let isAccepted = state != ParseStates.dead && states.canEnd(state)
          try #require(isAccepted == Recognizer.accepts(grammar, text), "\(grammar) with \(text)")
          // What is not refused can be completed.
          if state != ParseStates.dead { try #require(Self.canBeCompleted(state, &states), "\(grammar) with \(text)") }
        }
        texts += texts.filter { $0.count == length }.flatMap { text in RandomGrammar.alphabet.map { text + [$0] } }
      }
    }
  }

  /// Whether some further bytes lead to an end.
  private static func canBeCompleted(_ state: Int32, _ states: inout ParseStates) -> Bool {
    var (reached, pending) = (Set([state]), [state])
    while let next = pending.popLast(), reached.count < 5000 {
      if states.canEnd(next) { return true }
      for byte in RandomGrammar.alphabet {
        let after = states.next(next, byte)
        if after != ParseStates.dead, reached.insert(after).inserted { pending.append(after) }
      }
    }
    // Too many states to tell.
    return !pending.isEmpty
  }

  @Test("masks allow the tokens whose bytes the matcher takes, for random grammars and vocabularies", arguments: seeds)
  func masks(_ seed: Int) throws {
    var made = RandomGrammar(seed: UInt64(1000 + seed))
    for _ in 0..<10 {
      let texts = (0..<60).map { _ in made.text(length: 1...6) } + [[], made.text(length: 20...30)]
      let vocabulary = TokenVocabulary.of(texts)
      guard let constraint = try? TokenConstraint(made.next(), vocabulary) else { continue }
      for _ in 0..<3 { try walk(constraint, vocabulary, &made) }
    }
  }

  /// Follows an answer of random tokens and compares every mask with what the matcher takes byte by byte.
  private func walk(_ constraint: TokenConstraint, _ vocabulary: TokenVocabulary, _ made: inout RandomGrammar) throws {
    var matcher = TokenMatcher(constraint)
    for _ in 0..<12 {
      let mask = try matcher.mask()
      var allowed: [Int32] = []
      for token in 0..<Int32(vocabulary.count) {
        var copy = matcher
        let isTaken = (try? copy.accept(token)) != nil
        try #require(mask.allows(Int(token)) == isTaken, "token \(token) of \(constraint.automaton.steps)")
        if isTaken { allowed.append(token) }
      }
      #expect(!allowed.isEmpty || matcher.isComplete)
      guard let token = made.element(of: allowed) else { return }
      try matcher.accept(token)
      if matcher.hasEnded { return }
    }
  }

  @Test("a long answer through nested contexts keeps its masks when tables are made anew")
  func keeping() throws {
    let grammar = try GBNFParser.parse(#"root ::= "(" root ")" | "[" root "]" | "x""#)
    let automaton = try GrammarAutomaton(grammar)
    var states = ParseStates(automaton)
    var state = states.start()
    let text = (0..<300).map { $0 % 3 == 0 ? UInt8(ascii: "[") : UInt8(ascii: "(") }
    for byte in text { state = states.next(state, byte) }
    var (kept, place) = states.keeping(state)
    #expect(kept.memory < states.memory)
    for byte in [UInt8(ascii: "x")]
      + text.reversed().map({ $0 == UInt8(ascii: "[") ? UInt8(ascii: "]") : UInt8(ascii: ")") })
    {
      let wrong = kept.next(place, byte == UInt8(ascii: "]") ? UInt8(ascii: ")") : UInt8(ascii: "]"))
      #expect(wrong == ParseStates.dead)
      place = kept.next(place, byte)
      try #require(place != ParseStates.dead)
    }
    #expect(kept.isComplete(place))
  }

  @Test("counted repetitions have the same mask far from their end, and the right one near it")
  func counted() throws {
    let vocabulary = TokenVocabulary.of((1...40).map { [UInt8](repeating: UInt8(ascii: "a"), count: $0) })
    let constraint = try TokenConstraint(GBNFParser.parse(#"root ::= "a"{50,100} "b""#), vocabulary)
    var matcher = TokenMatcher(constraint)
    for count in 0...100 {
      let mask = try matcher.mask()
      for length in 1...40 { #expect(mask.allows(255 + length) == (count + length <= 100), "\(length) after \(count)") }
      #expect(mask.allows(Int(UInt8(ascii: "b"))) == (count >= 50))
      let isTaken = matcher.accept([UInt8(ascii: "a")])
      #expect(isTaken == (count < 100))
    }
  }

  @Test("an end token is allowed where the text may end, and nothing after it")
  func ending() throws {
    let vocabulary = TokenVocabulary.of([Array("ab".utf8)])
    let end: Int32 = 257
    var matcher = TokenMatcher(try TokenConstraint(GBNFParser.parse(#"root ::= "a" "b"?"#), vocabulary))
    var mask = try matcher.mask()
    #expect(!mask.allows(Int(end)) && !matcher.canEnd)
    #expect(throws: GrammarError.refusedToken(end)) { try matcher.accept(end) }
    try matcher.accept(Int32(UInt8(ascii: "a")))
    mask = try matcher.mask()
    #expect(mask.allows(Int(end)) && matcher.canEnd && !matcher.isComplete)
    var other = matcher
    try other.accept(end)
    mask = try other.mask()
    #expect(other.isComplete && mask.allowedCount == 0)
    try matcher.accept(Int32(UInt8(ascii: "b")))
    mask = try matcher.mask()
    #expect(matcher.isComplete && mask.allowedCount == 1)
  }

  @Test("the first token of an answer has its own spelling where a tokenizer drops its space")
  func firstToken() throws {
    let vocabulary = TokenVocabulary.of(
      [Array(" yes".utf8), Array("yes".utf8)], first: [Array("yes".utf8), Array("yes".utf8)])
    var matcher = TokenMatcher(try TokenConstraint(GBNFParser.parse(#"root ::= "yes" " yes""#), vocabulary))
    var mask = try matcher.mask()
    #expect(mask.allows(256) && mask.allows(257))
    try matcher.accept(256)
    mask = try matcher.mask()
    #expect(mask.allows(256) && !mask.allows(257))
    try matcher.accept(256)
    #expect(matcher.isComplete)
  }

  @Test("what a mask leaves out becomes impossible, and tokens beyond it too")
  func applying() {
    var mask = TokenMask(count: 130)
    for token in (0..<64) + [70, 129] { mask.allow(token) }
    var output: [Float] = []
    let logits = (0..<140).map { Float($0) }
    logits.withUnsafeBufferPointer { mask.apply(to: $0, into: &output) }
    #expect(output.enumerated().allSatisfy { $1 == ($0 < 64 || $0 == 70 || $0 == 129 ? Float($0) : -.infinity) })
    #expect(mask.allowedCount == 66)
  }

  @Test("a text with more readings at once than are followed is refused where it is made")
  func ambiguity() throws {
    let many = OutputFormat.choice((0..<20_000).map { "a\($0)" })
    #expect(throws: GrammarError.tooAmbiguous(limit: ParseStates.itemLimit)) {
      try TokenConstraint(many.makeGrammar(), .of([]))
    }
  }

  @Test("a mask that would take too long is refused, and other answers in the same grammar are not")
  func work() throws {
    // After "x" each byte may begin one of many rules, and each of those all of them again.
    let rules = (0..<3000).map { "r\($0) ::= \"a\"? \"b\"? [a-\(Character(Unicode.Scalar(98 + UInt8($0 % 20))))] all?" }
    let text = "root ::= \"y\" | \"x\" all\nall ::= \((0..<3000).map { "r\($0)" }.joined(separator: " | "))\n"
    let vocabulary = TokenVocabulary.of((0..<200).map { [UInt8($0), 97, 98, 97, UInt8($0)] })
    let constraint = try TokenConstraint(GBNFParser.parse(text + rules.joined(separator: "\n")), vocabulary)
    var matcher = TokenMatcher(constraint)
    try matcher.accept(Int32(UInt8(ascii: "x")))
    var isRefused = false
    for _ in 0..<20 where !isRefused {
      do {
        _ = try matcher.mask()
        try matcher.accept(97)
      } catch { isRefused = error == .tooAmbiguous(limit: ParseStates.itemLimit) }
    }
    #expect(isRefused)
    var other = TokenMatcher(constraint)
    try other.accept(Int32(UInt8(ascii: "y")))
    let mask = try other.mask()
    #expect(other.isComplete && mask.allowedCount == 1)
  }

  @Test("readings that multiply are followed together")
  func sharing() throws {
    // Each "a" may begin any of the rules, inside any of those that have begun.
    let many = (0..<12).map { "r\($0)" }
    let rules = many.map { "\($0) ::= \"a\" root \"\($0)\" | \"a\"" }.joined(separator: "\n")
    let grammar = "root ::= \(many.joined(separator: " | "))\n\(rules)"
    var matcher = TokenMatcher(try TokenConstraint(GBNFParser.parse(grammar), .of([])))
    for _ in 0..<60 { try matcher.accept(Int32(UInt8(ascii: "a"))) }
    let mask = try matcher.mask()
    #expect(mask.allows(Int(UInt8(ascii: "a"))) && mask.allows(Int(UInt8(ascii: "r"))) && mask.allowedCount == 2)
  }
}

/// Small grammars over three letters, by a seed.
struct RandomGrammar {
  static let alphabet = Array("abc".utf8)
  private var random: SeededRandom

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  mutating func integer(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  mutating func element<T>(of elements: [T]) -> T? {
    elements.isEmpty ? nil : elements[integer(0...elements.count - 1)]
  }

  mutating func text(length: ClosedRange<Int>) -> [UInt8] {
    (0..<integer(length)).map { _ in Self.alphabet[integer(0...2)] }
  }

  mutating func next() -> Grammar {
    let count = integer(1...4)
    return Grammar(
      rules: (0..<count).map { Grammar.Rule(name: "r\($0)", body: expression(rules: count, depth: 0)) }, root: 0)
  }

  private mutating func expression(rules: Int, depth: Int) -> GrammarExpression {
    switch integer(depth > 3 ? 0...2 : 0...9) {
    case 0: return .bytes(text(length: 0...2))
    case 1: return .oneOf(ByteSet(text(length: 1...2)))
    case 2, 3: return .rule(integer(0...rules - 1))
    case 4, 5, 6: return .sequence((0..<integer(1...3)).map { _ in expression(rules: rules, depth: depth + 1) })
    case 7, 8: return .choice((0..<integer(1...3)).map { _ in expression(rules: rules, depth: depth + 1) })
    default:
      let least = integer(0...2)
      let inner = expression(rules: rules, depth: depth + 1)
      return .repeated(inner, min: least, max: integer(0...2) == 0 ? nil : least + integer(0...30))
    }
  }
}
