/// Guesses with another model: what the sampler would draw from that model's logits, with the same random numbers.
struct ModelGuesser: Guesser {
  private let engine: InferenceEngine
  private let sequence: CachedSequence

  init(_ engine: InferenceEngine) {
    self.engine = engine
    sequence = engine.makeSequence()
  }

  func rank(after tokens: [Int32]) -> Int? { tokens.count < engine.contextLength ? 0 : nil }

  func take(_ tokens: [Int32]) throws {
    let new = tokens[sequence.sharedPrefix(with: tokens)...].dropLast()
    if !new.isEmpty { try engine.append(Array(new), to: sequence) }
  }

  func guesses(after tokens: [Int32], count: Int, sampler: Sampler, step: Int) throws -> [Int32] {
    var (sampler, guesses) = (sampler, [Int32]())
    var pending = tokens[sequence.sharedPrefix(with: tokens)...]
    while guesses.count < count, sequence.count + pending.count < engine.contextLength {
      let logits = try engine.logits(after: Array(pending), in: sequence)
      guard let token = sampler.guess(logits, step: step + guesses.count) else { break }
      guesses.append(token)
      pending = guesses.suffix(1)
    }
    return guesses
  }
}

/// Guesses with the model itself, some of its layers left out, in the answer's own sequence.
struct LayerGuesser: Guesser {
  let engine: InferenceEngine
  let sequence: CachedSequence
  let skipped: Range<Int>

  func rank(after tokens: [Int32]) -> Int? { 0 }

  func guesses(after tokens: [Int32], count: Int, sampler: Sampler, step: Int) throws -> [Int32] {
    let held = sequence.count
    precondition(tokens.count == held + 1, "\(held) of \(tokens.count) tokens cached")
    // Whatever the thin model left in the cache is written anew when the guesses are verified.
    defer { sequence.truncate(to: held) }
    var (sampler, guesses, token) = (sampler, [Int32](), tokens[held])
    while guesses.count < count {
      let logits: [Float] = try engine.decode([token], in: sequence, skippedLayers: skipped).read()
      guard let next = sampler.guess(logits, step: step + guesses.count) else { break }
      guesses.append(next)
      token = next
    }
    return guesses
  }
}

extension Sampler {
  /// What would be drawn; nil where nothing can be, as from logits that are no numbers: a guess must not end an answer.
  fileprivate mutating func guess(_ logits: [Float], step: Int) -> Int32? {
    guard let sampled = try? sample(logits.span, step: step) else { return nil }
    return Int32(sampled.token)
  }
}
