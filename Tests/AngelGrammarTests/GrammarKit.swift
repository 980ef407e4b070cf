import AngelCore

@testable import AngelGrammar

/// Whether a text is one of a grammar, by the definition of its expressions: slow and plain.
struct Recognizer {
  let grammar: Grammar
  let text: [UInt8]
  private var known: [[Int]: Set<Int>] = [:]

  init(_ grammar: Grammar, _ text: [UInt8]) {
    self.grammar = grammar
    self.text = text
  }

  static func accepts(_ grammar: Grammar, _ text: [UInt8]) -> Bool {
    var recognizer = Recognizer(grammar, text)
    return recognizer.ends(.rule(grammar.root), from: 0).contains(text.count)
  }

  /// Where a part of the text may end that begins at `start` and is one of the expression.
  private mutating func ends(_ expression: GrammarExpression, from start: Int) -> Set<Int> {
    switch expression {
    case .bytes(let bytes): return text[start...].starts(with: bytes) ? [start + bytes.count] : []
    case .oneOf(let set): return start < text.count && set.contains(text[start]) ? [start + 1] : []
    case .rule(let rule):
      if let ends = known[[rule, start]] { return ends }
      let result = ends(grammar.rules[rule].body, from: start)
      known[[rule, start]] = result
      return result
    case .sequence(let parts):
      return parts.reduce(into: [start]) { places, part in
        places = places.reduce(into: []) { $0.formUnion(ends(part, from: $1)) }
      }
    case .choice(let alternatives): return alternatives.reduce(into: []) { $0.formUnion(ends($1, from: start)) }
    case .repeated(let part, let least, let most):
      var result: Set<Int> = least == 0 ? [start] : []
      var places: Set<Int> = [start]
      // More than a byte a time has nothing new, once the least is reached.
      for count in 1...max(1, min(most ?? .max, least + text.count + 1)) where most != 0 {
        places = places.reduce(into: []) { $0.formUnion(ends(part, from: $1)) }
        if count >= least { result.formUnion(places) }
      }
      return result
    }
  }
}

extension Grammar {
  /// Whether a text is one of the grammar, by the matcher.
  func accepts(_ text: String) throws -> Bool {
    var states = ParseStates(try GrammarAutomaton(self))
    var state = states.start()
    for byte in text.utf8 {
      if state == ParseStates.dead { return false }
      state = states.next(state, byte)
    }
    return state != ParseStates.dead && states.canEnd(state)
  }
}

extension OutputFormat {
  func accepts(_ text: String) throws -> Bool { try makeGrammar().accepts(text) }

  /// The error of a format that cannot be used.
  var refusal: String? {
    do {
      _ = try GrammarAutomaton(makeGrammar())
      return nil
    } catch { return "\(error)" }
  }
}

extension TokenVocabulary {
  /// A vocabulary of all bytes, these texts, and an end token, which is the last.
  static func of(_ texts: [[UInt8]], first: [[UInt8]]? = nil) -> TokenVocabulary {
    func table(_ texts: [[UInt8]]) -> StringTable {
      var table = StringTable()
      for text in (0...255).map({ [UInt8($0)] }) + texts + [[]] { table.append(text) }
      return table
    }
    return TokenVocabulary(table(texts), firstSpellings: first.map(table), endTokens: [Int32(256 + texts.count)])
  }
}
