/// A regular expression over characters, before it is said in which bytes they are written.
indirect enum CharacterExpression: Equatable, Sendable {
  /// One character of a set.
  case oneOf(ScalarSet)
  case sequence([CharacterExpression])
  case choice([CharacterExpression])
  case repeated(CharacterExpression, min: Int, max: Int?)

  /// The same over bytes; `spelling` says how one character of a set is written.
  func expression(_ spelling: (ScalarSet) -> GrammarExpression = \.expression) -> GrammarExpression {
    switch self {
    case .oneOf(let set): spelling(set)
    case .sequence(let parts): .sequence(parts.map { $0.expression(spelling) })
    case .choice(let alternatives): .choice(alternatives.map { $0.expression(spelling) })
    case .repeated(let part, let least, let most): .repeated(part.expression(spelling), min: least, max: most)
    }
  }
}

/// A regular expression: alternatives, each of which may be bound to the beginning or the end of the text.
struct RegularExpression: Equatable, Sendable {
  struct Alternative: Equatable, Sendable {
    var startsAtBeginning: Bool
    var body: CharacterExpression
    var stopsAtEnd: Bool
  }

  var alternatives: [Alternative]

  /// The texts that match as a whole.
  var whole: CharacterExpression { .choice(alternatives.map(\.body)) }

  /// The texts in which a match is found, as JSON Schema's `pattern` has it.
  var anywhere: CharacterExpression {
    let any = CharacterExpression.repeated(.oneOf(.all), min: 0, max: nil)
    return .choice(
      alternatives.map {
        .sequence(($0.startsAtBeginning ? [] : [any]) + [$0.body] + ($0.stopsAtEnd ? [] : [any]))
      })
  }
}
