import AngelHCF
import Glibc
import Synchronization

/// What the server counts, given out as Prometheus text under the names that vLLM's dashboards know.
final class ServerMetrics: Sendable {
  /// What is counted of one model.
  struct ModelCounts: Sendable {
    var firstToken = Histogram.firstToken
    var betweenTokens = Histogram.betweenTokens
    var perToken = Histogram.betweenTokens
    var endToEnd = Histogram.latency
    var queued = Histogram.latency
    var prefill = Histogram.latency
    var decode = Histogram.latency
    var inference = Histogram.latency
    var promptTokens = Histogram.tokens
    var answerTokens = Histogram.tokens
    var answers = Histogram.answers
    var longestAnswer = Histogram.tokens
    /// Requests by how they ended, under vLLM's names.
    var finished: [String: Int] = ["stop": 0, "length": 0, "abort": 0]
    var refused: [String: Int] = [:]
  }

  private struct State {
    var models: [String: ModelCounts] = [:]
    /// Answers by endpoint, method and status.
    var answers: [Answer: Int] = [:]
  }

  private struct Answer: Hashable {
    let handler: String
    let method: String
    let status: Int
  }

  private let state = Mutex(State())

  func count(_ model: String, _ change: (inout ModelCounts) -> Void) {
    state.withLock { change(&$0.models[model, default: ModelCounts()]) }
  }

  func countAnswer(handler: String, method: String, status: Int) {
    state.withLock { $0.answers[Answer(handler: handler, method: method, status: status), default: 0] += 1 }
  }

  /// A request that ended well.
  func countEnd(_ model: String, _ usage: ServingUsage, reasons: [FinishReason], longest: Int?) {
    count(model) { counts in
      for reason in reasons { counts.finished[reason == .interrupted ? "abort" : reason.rawValue, default: 0] += 1 }
      counts.endToEnd.add(usage.seconds)
      counts.queued.add(usage.secondsQueued)
      counts.firstToken.add(usage.secondsToFirstToken)
      counts.prefill.add(max(0, usage.secondsToFirstToken - usage.secondsQueued))
      counts.decode.add(max(0, usage.seconds - usage.secondsToFirstToken))
      counts.inference.add(max(0, usage.seconds - usage.secondsQueued))
      let answers = reasons.count
      let later = usage.completionTokens - answers
      if later > 0 {
        counts.perToken.add((usage.seconds - usage.secondsToFirstToken) * Double(answers) / Double(later))
      }
      counts.promptTokens.add(Double(usage.promptTokens))
      counts.answerTokens.add(Double(usage.completionTokens))
      counts.answers.add(Double(answers))
      if let longest { counts.longestAnswer.add(Double(longest)) }
    }
  }

  /// The text format, version 0.0.4, with the engines' own figures.
  func text(_ engines: [(name: String, statistics: ServingStatistics)], connections: Int, exchanges: Int) -> String {
    let state = state.withLock { $0 }
    var page = MetricsPage()
    for (name, statistics) in engines { page.add(statistics, labels: Self.labels(name)) }
    for (name, counts) in state.models.sorted(by: { $0.key < $1.key }) { page.add(counts, labels: Self.labels(name)) }
    for (answer, count) in state.answers.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      page.counter(
        "http_requests_total", "Answers by handler, method and status.",
        "handler=\"\(answer.handler)\",method=\"\(answer.method)\",status=\"\(answer.status)\"", Double(count))
    }
    page.gauge("angel:http_connections", "Connections that are open.", "", Double(connections))
    page.gauge("angel:http_requests_in_flight", "Requests that are not answered to the end.", "", Double(exchanges))
    page.addProcess()
    return page.text
  }

  private static func labels(_ model: String) -> String {
    let escaped = model.flatMap { $0 == "\\" || $0 == "\"" ? "\\\($0)" : $0 == "\n" ? "\\n" : "\($0)" }
    return "model_name=\"\(String(escaped))\",engine=\"0\""
  }
}
