import AngelCore
import AngelHCF
import Glibc

/// The sampler's definition written plainly in float64, with full sorts: the oracle of its tests.
struct SamplingReference {
  let parameters: SamplingParameters
  let prompt: [Int]

  /// Probability of each token that may be drawn, by rising id.
  func probabilities(_ logits: [Float], answer: [Int]) -> [(token: Int, probability: Double)] {
    let values = adjusted(logits, answer: answer)
    if parameters.temperature == 0 {
      let largest = values.max() ?? 0
      return [(values.firstIndex(of: largest) ?? 0, 1)]
    }
    var kept = normalized(
      values.enumerated().map { (token: $0.offset, value: $0.element / Double(parameters.temperature)) })
    let largest = kept.map(\.probability).max() ?? 0
    kept = kept.filter { $0.probability >= Double(parameters.minP) * largest }
    if parameters.topK > 0, parameters.topK < kept.count {
      let border = kept.map(\.probability).sorted(by: >)[parameters.topK - 1]
      kept = kept.filter { $0.probability >= border }
    }
    return rescaled(nucleus(rescaled(kept)))
  }

  /// The token a uniform number chooses.
  func token(_ logits: [Float], answer: [Int], uniform: Double) -> Int {
    let kept = probabilities(logits, answer: answer)
    var sum = 0.0
    for (token, probability) in kept {
      sum += probability
      if sum > uniform { return token }
    }
    return kept[kept.count - 1].token
  }

  /// log softmax of the raw logits.
  static func logProbabilities(_ logits: [Float]) -> [Double] {
    let largest = Double(logits.max() ?? 0)
    let sum = logits.reduce(0.0) { $0 + exp(Double($1) - largest) }
    return logits.map { Double($0) - largest - log(sum) }
  }

  private func adjusted(_ logits: [Float], answer: [Int]) -> [Double] {
    var values = logits.map(Double.init)
    for (token, bias) in parameters.logitBias { values[token] += Double(bias) }
    for token in Set(prompt + answer) {
      let penalty = Double(parameters.repetitionPenalty)
      values[token] = values[token] > 0 ? values[token] / penalty : values[token] * penalty
      let count = answer.count { $0 == token }
      values[token] -= Double(parameters.frequencyPenalty) * Double(count)
      if count > 0 { values[token] -= Double(parameters.presencePenalty) }
    }
    return values
  }

  private typealias Kept = [(token: Int, probability: Double)]

  private func normalized(_ values: [(token: Int, value: Double)]) -> Kept {
    let largest = values.map(\.value).max() ?? 0
    return rescaled(values.map { ($0.token, exp($0.value - largest)) })
  }

  private func rescaled(_ kept: Kept) -> Kept {
    let sum = kept.reduce(0.0) { $0 + $1.probability }
    return kept.map { ($0.token, $0.probability / sum) }
  }

  private func nucleus(_ kept: Kept) -> Kept {
    guard parameters.topP < 1 else { return kept }
    var before = 0.0
    var result: Kept = []
    for entry in kept.sorted(by: { (-$0.probability, $0.token) < (-$1.probability, $1.token) })
    where before < Double(parameters.topP) {
      result.append(entry)
      before += entry.probability
    }
    return result.sorted { $0.token < $1.token }
  }
}

/// Seeded logits of a plausible shape: a few large ones over a wide floor.
func makeLogits(_ count: Int, seed: UInt64) -> [Float] {
  let random = PhiloxGenerator(seed: seed, stream: 99)
  return (0..<count).map { position in
    let (a, b) = (random.uniform(at: UInt64(2 * position)), random.uniform(at: UInt64(2 * position + 1)))
    return (a - 0.5) * 6 + (b > 0.97 ? 6 * b : 0)
  }
}
