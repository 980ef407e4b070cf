import AngelCore
import AngelData

/// Whether the token that ends an answer is written by the chat template and counts in the loss: a model that never
/// learns it never stops.
struct StopTokenCheck: DoctorCheck {
  static let name = "stop token trained"
  /// Conversations as they are encoded, before anything is cut.
  let samples: [TokenSample]
  /// The tokens after which generation stops.
  let endTokens: Set<Int32>
  /// A token as text.
  let text: (Int32) -> String

  func run() throws -> DoctorFinding {
    guard !endTokens.isEmpty else {
      return failed(
        "the model names no token that ends an answer",
        remedy: "set eos_token_id in the model's generation_config.json or config.json")
    }
    guard !samples.isEmpty else { return skipped("no row was read") }
    let names = endTokens.sorted().map { quoted(text($0)) }.joined(separator: ", ")
    let ends = samples.map(end)
    let (trained, written) = (ends.count { $0 == .trained }, ends.count { $0 != .missing })
    let share = "\(trained) of \(samples.count) rows end with a trained one of \(names)"
    if trained == samples.count { return passed(share) }
    if trained > 0 {
      return warning(share, remedy: "look at the rows whose last answer has weight 0 or holds no end token")
    }
    if written > 0 {
      return failed(
        share + "; it is written but has no weight in the loss", remedy: "give the answers' turns a weight above 0")
    }
    return failed(
      share + "; the chat template writes none after an answer",
      remedy: "the model would never learn to stop: use a chat template that ends answers with \(names)")
  }

  private enum End { case trained, untrained, missing }

  /// What stands where the last answer ends: after its last trained token, or that token itself.
  private func end(_ sample: TokenSample) -> End {
    guard let last = sample.weights.lastIndex(where: { $0 != 0 }) else {
      return sample.tokens.contains(where: endTokens.contains) ? .untrained : .missing
    }
    if endTokens.contains(sample.tokens[last]) { return .trained }
    return sample.tokens[last...].contains(where: endTokens.contains) ? .untrained : .missing
  }
}
