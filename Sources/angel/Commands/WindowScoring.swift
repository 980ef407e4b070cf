import AngelCore
import AngelHCF

extension CommandContext {
  /// Scores the windows of a text, all but the first `unscored` tokens of each, with a progress display.
  func perplexity(
    of windows: some Collection<[Int32]>, _ label: String, unscored: Int = 1, with engine: InferenceEngine
  ) throws -> Perplexity {
    let display = progress.start(label, total: windows.reduce(0) { $0 + $1.count }, unit: .items("tokens"))
    var perplexity = Perplexity()
    for window in windows {
      try interruption.check()
      try perplexity.score(window, unscored: unscored, with: engine)
      display.advance(by: window.count)
    }
    display.finish()
    return perplexity
  }
}
