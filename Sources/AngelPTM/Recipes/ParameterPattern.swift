import AngelCore

/// A pattern that parameters are named by: `embedding*`, `blocks.0-11.*`, `*.norm.weight`.
///
/// `*` stands for any characters, dots included, and `a-b` between dots for the numbers from a to b. Paths are those of
/// `angel models show`.
struct ParameterPattern: Hashable {
  private let parts: [Part]

  private enum Part: Hashable {
    case text(Character)
    case anything
    case number(ClosedRange<Int>)
  }

  init(_ text: String) {
    var parts: [Part] = []
    for (index, word) in text.split(separator: ".", omittingEmptySubsequences: false).enumerated() {
      if index > 0 { parts.append(.text(".")) }
      let bounds = word.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      if bounds.count == 2, let low = bounds[0], let high = bounds[1], low <= high {
        parts.append(.number(low...high))
      } else {
        parts += word.map { $0 == "*" ? .anything : .text($0) }
      }
    }
    self.parts = parts
  }

  /// The patterns of a recipe; throws when one of them names no parameter.
  static func list(_ texts: [String], naming paths: [String]) throws -> [ParameterPattern] {
    let patterns = texts.map { ParameterPattern($0) }
    for (text, pattern) in zip(texts, patterns) where !paths.contains(where: pattern.matches) {
      let first = paths.prefix(3).joined(separator: ", ")
      throw PTMError.recipe(
        "freeze names \(quoted(text)), but no parameter is called so; there are \(first) and others")
    }
    return patterns
  }

  func matches(_ path: String) -> Bool { Self.matches(parts[...], Substring(path)) }

  private static func matches(_ parts: ArraySlice<Part>, _ path: Substring) -> Bool {
    guard let first = parts.first else { return path.isEmpty }
    let rest = parts.dropFirst()
    switch first {
    case .text(let character): return path.first == character && matches(rest, path.dropFirst())
    case .anything: return path.indices.contains { matches(rest, path[$0...]) } || matches(rest, path[path.endIndex...])
    case .number(let range):
      let digits = path.prefix { $0.isASCII && $0.isNumber }
      return Int(digits).map(range.contains) == true && matches(rest, path.dropFirst(digits.count))
    }
  }
}
