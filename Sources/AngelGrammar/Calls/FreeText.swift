/// Any text up to the first place where a marker is complete.
struct FreeText {
  private let marker: [UInt8]

  /// The marker has at least one byte.
  init(upTo marker: String) {
    precondition(!marker.isEmpty, "a text that ends before it begins")
    self.marker = Array(marker.utf8)
  }

  /// Adds a rule for the text with its marker and what follows it, and returns its position; with `mayEnd`, also for texts
  /// without the marker.
  ///
  /// One rule for each beginning of the marker that has just been written, and where each byte leads from there (Knuth, Morris
  /// and Pratt, SIAM J. Comput. 1977).
  func addRules(to grammar: inout Grammar, followedBy rest: GrammarExpression, mayEnd: Bool) -> Int {
    let first = grammar.rules.count
    for length in marker.indices {
      var targets: [Int: ByteSet] = [:]
      for byte in UInt8.min...UInt8.max { targets[next(length, byte), default: ByteSet()].insert(byte) }
      var alternatives: [GrammarExpression] = mayEnd ? [.empty] : []
      for (target, bytes) in targets.sorted(by: { $0.key < $1.key }) {
        let after = target == marker.count ? rest : .rule(first + target)
        alternatives.append(.sequence([.oneOf(bytes), after]))
      }
      _ = grammar.add("text after \(length) bytes of a marker", .choice(alternatives))
    }
    return first
  }

  /// How much of the marker a text ends with that ended with `length` bytes of it, after one more byte.
  private func next(_ length: Int, _ byte: UInt8) -> Int {
    let text = marker[..<length] + [byte]
    for count in stride(from: text.count, to: 0, by: -1) where text.suffix(count).elementsEqual(marker[..<count]) {
      return count
    }
    return 0
  }
}
