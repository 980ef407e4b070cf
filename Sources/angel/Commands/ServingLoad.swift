import Glibc

/// The requests of a load: what each asks for, and when it comes.
struct ServingLoad: Sendable {
  struct Request: Sendable {
    let prompt: [Int]
    let outputLength: Int
    /// Seconds after the start.
    let arrival: Double
  }

  let requests: [Request]

  init(_ arguments: Arguments) {
    var random = PhiloxStream(seed: arguments[BenchServe.seed])
    var now = 0.0
    let isSpread = arguments[BenchServe.dataset] == .sharegpt
    // ShareGPT's lengths are about log-normal: a standard deviation of 1 in the logarithm, as its long tail has.
    func length(_ mean: Int) -> Int {
      guard isSpread else { return mean }
      return max(1, min(8 * mean, Int(Double(mean) * exp(random.normal() - 0.5))))
    }
    func tokens(_ count: Int) -> [Int] {
      (0..<count).map { _ in 100 + Int(random.uniform() * Double(arguments[BenchServe.vocabulary] - 100)) }
    }
    let prefix = tokens(arguments[BenchServe.prefixLength])
    requests = (0..<arguments[BenchServe.prompts]).map { _ in
      if let rate = arguments[BenchServe.rate] {
        let shape = arguments[BenchServe.burstiness]
        now += random.gamma(shape) / (shape * rate)
      }
      let prompt = prefix + tokens(length(arguments[BenchServe.inputLength]))
      return Request(prompt: prompt, outputLength: length(arguments[BenchServe.outputLength]), arrival: now)
    }
  }
}
