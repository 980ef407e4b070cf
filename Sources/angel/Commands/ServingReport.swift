import AngelCore
import Glibc

/// What a load found, as a table and as JSON with the keys of `vllm bench serve`.
struct ServingReport {
  /// Mean, deviation, median and 99th percentile of one time, in milliseconds.
  struct Times {
    let name: String
    let label: String
    let mean: Double
    let deviation: Double
    let median: Double
    let p99: Double

    /// - Parameter seconds: any number of them, also none.
    init(_ name: String, _ label: String, _ seconds: [Double]) {
      self.name = name
      self.label = label
      let values = seconds.map { $0 * 1000 }.sorted()
      let count = Double(max(1, values.count))
      let mean = values.reduce(0, +) / count
      self.mean = mean
      deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
      median = Self.percentile(values, 0.5)
      p99 = Self.percentile(values, 0.99)
    }

    /// Between the two nearest values, as NumPy does.
    static func percentile(_ sorted: [Double], _ share: Double) -> Double {
      guard let last = sorted.last else { return 0 }
      let place = share * Double(sorted.count - 1)
      let index = Int(place)
      guard index + 1 < sorted.count else { return last }
      return sorted[index] + (sorted[index + 1] - sorted[index]) * (place - Double(index))
    }
  }

  let seconds: Double
  let completed: Int
  let failures: [String]
  let inputTokens: Int
  let outputTokens: Int
  let times: [Times]

  init(_ results: [BenchClient.Result], seconds: Double) {
    self.seconds = seconds
    let good = results.filter { $0.failure == nil }
    completed = good.count
    failures = results.compactMap(\.failure)
    inputTokens = good.reduce(0) { $0 + $1.inputLength }
    outputTokens = good.reduce(0) { $0 + $1.outputLength }
    times = [
      Times("ttft", "time to first token", good.map(\.timeToFirstToken)),
      Times(
        "tpot", "time per token after it",
        good.filter { $0.outputLength > 1 }.map { ($0.latency - $0.timeToFirstToken) / Double($0.outputLength - 1) }),
      Times("itl", "between two pieces", good.flatMap(\.gaps)),
      Times("e2el", "end to end", good.map(\.latency)),
    ]
  }

  private func rate(_ count: Int) -> Double { Double(count) / max(seconds, 1e-9) }

  /// For people.
  var table: String {
    func one(_ value: Double) -> String { TextFormat.fixed(value, digits: 1) }
    var table = Table([("MILLISECONDS", .left), ("MEAN", .right), ("MEDIAN", .right), ("P99", .right)])
    for time in times { table.append([time.label, one(time.mean), one(time.median), one(time.p99)]) }
    return """
      \(completed) requests in \(TextFormat.fixed(seconds, digits: 2)) s: \(TextFormat.fixed(rate(completed), digits: 2)) requests/s, \
      \(one(rate(outputTokens))) tokens/s made, \(one(rate(inputTokens + outputTokens))) tokens/s in all
      \(table.lines.joined(separator: "\n"))
      """
  }

  func json(_ arguments: Arguments, model: String?, url: String) -> JSONValue {
    var object = JSONObject([
      ("endpoint_type", "openai"), ("base_url", .string(url)), ("model_id", model.map(JSONValue.string) ?? nil),
      ("num_prompts", .integer(arguments[BenchServe.prompts])),
      ("request_rate", arguments[BenchServe.rate].map(JSONValue.number) ?? "inf"),
      ("burstiness", .number(arguments[BenchServe.burstiness])),
      ("max_concurrency", arguments[BenchServe.concurrency].map(JSONValue.integer) ?? nil),
      ("dataset_name", .string(arguments[BenchServe.dataset].rawValue)), ("duration", .number(seconds)),
      ("completed", .integer(completed)), ("failed", .integer(failures.count)),
      ("total_input_tokens", .integer(inputTokens)), ("total_output_tokens", .integer(outputTokens)),
      ("request_throughput", .number(rate(completed))), ("output_throughput", .number(rate(outputTokens))),
      ("total_token_throughput", .number(rate(inputTokens + outputTokens))),
    ])
    for time in times {
      object["mean_\(time.name)_ms"] = .number(time.mean)
      object["median_\(time.name)_ms"] = .number(time.median)
      object["std_\(time.name)_ms"] = .number(time.deviation)
      object["p99_\(time.name)_ms"] = .number(time.p99)
    }
    return .object(object)
  }
}
