/// Counts of values by size, as Prometheus has them.
struct Histogram: Sendable {
  /// Upper bounds, ascending; what is larger counts in the sum alone.
  let bounds: [Double]
  private(set) var counts: [Int]
  private(set) var sum = 0.0
  private(set) var count = 0

  init(_ bounds: [Double]) {
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count)
  }

  mutating func add(_ value: Double) {
    if let bucket = bounds.firstIndex(where: { value <= $0 }) { counts[bucket] += 1 }
    sum += value
    count += 1
  }

  /// The lines of the text format, counts added up; `labels` as in `model_name="m"`.
  func lines(_ name: String, _ labels: String) -> [String] {
    var total = 0
    var lines = zip(bounds, counts).map { bound, count in
      total += count
      return "\(name)_bucket{\(labels),le=\"\(bound)\"} \(total)"
    }
    lines.append("\(name)_bucket{\(labels),le=\"+Inf\"} \(count)")
    lines.append("\(name)_sum{\(labels)} \(sum)")
    lines.append("\(name)_count{\(labels)} \(count)")
    return lines
  }

  // The bounds of vLLM's histograms (vllm/v1/metrics/loggers.py), so that its dashboards fit.
  static let firstToken = Histogram([
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
  ])
  static let betweenTokens = Histogram([
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  ])
  static let latency = Histogram([
    0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
  ])
  static let tokens = Histogram([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000])
  static let answers = Histogram([1, 2, 5, 10, 20])
}
