/// Finds the known name that someone who mistyped probably meant.
public enum Suggestion {
  /// The candidates nearest to `name`, best first: at most `limit`, none that differs in more than a third of its letters.
  public static func nearest(to name: String, among candidates: some Sequence<String>, limit: Int = 3) -> [String] {
    let typed = Array(name.lowercased().unicodeScalars.prefix(64))
    let scored = candidates.compactMap { candidate -> (distance: Int, name: String)? in
      let letters = Array(candidate.lowercased().unicodeScalars.prefix(64))
      let isPrefix = typed.count >= 2 && letters.starts(with: typed)
      let distance = isPrefix ? 0 : editDistance(typed, letters)
      return distance <= max(1, max(typed.count, letters.count) / 3) ? (distance, candidate) : nil
    }
    return scored.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(limit).map(\.name)
  }

  /// `"; did you mean 'a' or 'b'?"`, or nothing when no candidate is near.
  public static func question(for name: String, among candidates: some Sequence<String>) -> String {
    let names = nearest(to: name, among: candidates).map { "'\($0)'" }
    return names.isEmpty ? "" : "; did you mean \(names.joined(separator: " or "))?"
  }

  /// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string alignment).
  static func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var beforePrevious = [Int](repeating: 0, count: b.count + 1)
    var previous = Array(0...b.count)
    for row in 0..<a.count {
      var current = [row + 1] + [Int](repeating: 0, count: b.count)
      for column in 0..<b.count {
        let substitution = previous[column] + (a[row] == b[column] ? 0 : 1)
        current[column + 1] = min(substitution, previous[column + 1] + 1, current[column] + 1)
        if row > 0, column > 0, a[row] == b[column - 1], a[row - 1] == b[column] {
          current[column + 1] = min(current[column + 1], beforePrevious[column - 1] + 1)
        }
      }
      (beforePrevious, previous) = (previous, current)
    }
    return previous[b.count]
  }
}
