import AngelCore
import AngelData

/// How long rows are against the sequence length, and what cutting them loses.
struct LengthCheck: DoctorCheck {
  static let name = "rows within the length"
  /// Rows as they are encoded, before anything is cut.
  let samples: [TokenSample]
  let sequenceLength: Int
  /// Rows that the chat template or the layout refuses: the first one's message, and how many.
  var refusal: (message: String, count: Int)?

  func run() throws -> DoctorFinding {
    if let refusal {
      return failed(
        "\(refusal.count) of \(samples.count + refusal.count) rows are refused, the first: \(refusal.message)",
        remedy: "correct or remove these rows: the run would stop at the first")
    }
    guard !samples.isEmpty else { return failed("no row was read", remedy: "name files with rows in data.train") }
    let lengths = samples.map(\.count).sorted()
    let cut = samples.map { sample in
      var cut = sample
      cut.truncate(to: sequenceLength + 1)
      return cut
    }
    let (long, empty) = (lengths.count { $0 > sequenceLength + 1 }, cut.count { $0.trainedCount == 0 })
    let (all, kept) = (samples.reduce(0) { $0 + $1.trainedCount }, cut.reduce(0) { $0 + $1.trainedCount })
    let middle = lengths[lengths.count / 2]
    let most = lengths[min(lengths.count - 1, lengths.count * 95 / 100)]
    let spread =
      "half of \(samples.count) rows have \(middle) tokens or less, 95 % \(most), the longest \(lengths.last ?? 0)"
    guard long > 0 || empty > 0 else { return passed(spread + "; none is cut at \(sequenceLength)") }
    let lost = TextFormat.fixed(100 * Double(all - kept) / Double(max(1, all)), digits: 1)
    let value =
      spread + "; \(long) are cut at \(sequenceLength), \(empty) have nothing left to learn, "
      + "\(lost) % of the trained tokens are lost"
    let remedy =
      "raise sequence_length to \(max(most, middle)) or shorten the rows; rows cut lose the token that ends them"
    return 2 * empty > samples.count || all == 0 ? failed(value, remedy: remedy) : warning(value, remedy: remedy)
  }
}
