/// Which tokens occurred, and how often in the answer; a prompt token that the answer lacks has count 0.
struct TokenHistory: Sendable {
  private(set) var counts: [Int: Int] = [:]
  var isEmpty: Bool { counts.isEmpty }
  mutating func notePrompt(_ token: Int) { counts[token, default: 0] += 0 }
  mutating func noteGenerated(_ token: Int) { counts[token, default: 0] += 1 }
}
