import AngelCore
import AngelHCF
import Testing

@Suite("Sampler")
struct SamplerTests {
  private func parameters(_ change: (inout SamplingParameters) -> Void) -> SamplingParameters {
    var result = SamplingParameters()
    result.seed = 17
    change(&result)
    return result
  }

  private func sample(_ sampler: inout Sampler, _ logits: [Float], step: Int = 0) throws -> SampledToken {
    try logits.withUnsafeBufferPointer { try sampler.sample($0, step: step) }
  }

  @Test("every combination of filters and penalties draws the token of the float64 definition", arguments: 0..<48)
  func againstReference(index: Int) throws {
    let parameters = self.parameters {
      $0.temperature = [0, 0.3, 1, 1.7][index % 4]
      $0.topK = [0, 5, 40][index % 3]
      $0.topP = [1, 0.9, 0.35, 1][index / 3 % 4]
      $0.minP = [0, 0.02, 0.2][index / 4 % 3]
      $0.repetitionPenalty = [1, 1.3, 0.8][index / 2 % 3]
      $0.presencePenalty = [0, 0.7, -0.4][index / 5 % 3]
      $0.frequencyPenalty = [0, -0.2, 0.9][index / 7 % 3]
      $0.logitBias = index % 5 == 0 ? [3: 4, 7: -100, 90: 2.5] : [:]
      $0.seed = index
    }
    let prompt = [1, 5, 5, 80, 199]
    let reference = SamplingReference(parameters: parameters, prompt: prompt)
    var sampler = try Sampler(parameters: parameters, promptTokens: prompt, vocabularySize: 203)
    let random = PhiloxGenerator(seed: UInt64(index))
    var answer: [Int] = []
    for step in 0..<25 {
      let logits = makeLogits(203, seed: UInt64(step))
      let uniform = random.uniformDouble(atBlock: UInt64(step))
      let expected = reference.token(logits, answer: answer, uniform: uniform)
      let token = try sample(&sampler, logits, step: step).token
      #expect(token == expected, "step \(step)")
      answer.append(token)
    }
  }

  @Test("greedy takes the lowest of equal tokens")
  func greedyTies() throws {
    var sampler = try Sampler(parameters: .greedy, promptTokens: [], vocabularySize: 40)
    var logits = [Float](repeating: -1, count: 40)
    logits[19] = 2
    logits[7] = 2
    #expect(try sample(&sampler, logits) == SampledToken(token: 7))
  }

  @Test("penalties change logits by exactly their definition")
  func penalties() throws {
    // Token 0 would win by 1; each penalty alone hands the win to token 1 after token 0 occurred, or not, as stated.
    func winner(_ prompt: [Int], noted: [Int], _ logits: [Float], _ change: (inout SamplingParameters) -> Void) throws
      -> Int
    {
      var sampler = try Sampler(
        parameters: parameters {
          $0.temperature = 0
          change(&$0)
        }, promptTokens: prompt, vocabularySize: 3)
      for token in noted { sampler.note(generated: token) }
      return try sample(&sampler, logits).token
    }
    #expect(try winner([0], noted: [], [2, 1.1, -9]) { $0.repetitionPenalty = 2 } == 1)
    #expect(try winner([0], noted: [], [2, 0.9, -9]) { $0.repetitionPenalty = 2 } == 0)
    #expect(try winner([0], noted: [], [-1, -1.9, -9]) { $0.repetitionPenalty = 2 } == 1)
    #expect(
      try winner([0], noted: [0, 0], [2, 1.1, -9]) { $0.repetitionPenalty = 2 } == 1, "once, not per occurrence")
    #expect(try winner([0, 0], noted: [], [2, 1, -9]) { $0.presencePenalty = 2 } == 0, "the prompt does not count")
    #expect(try winner([], noted: [0, 0], [2, 1, -9]) { $0.presencePenalty = 0.9 } == 0)
    #expect(try winner([], noted: [0, 0], [2, 1, -9]) { $0.presencePenalty = 1.1 } == 1)
    #expect(try winner([], noted: [0, 0], [2, 1, -9]) { $0.frequencyPenalty = 0.49 } == 0)
    #expect(try winner([], noted: [0, 0], [2, 1, -9]) { $0.frequencyPenalty = 0.51 } == 1)
    #expect(try winner([], noted: [], [2, 1, -9]) { $0.logitBias = [2: 11.5] } == 2)
    #expect(try winner([0], noted: [], [2, 1, -9]) { $0.logitBias = [0: -1.5] } == 1)
  }

  @Test("chosen tokens count for the penalties of later steps")
  func memory() throws {
    var sampler = try Sampler(
      parameters: parameters {
        $0.temperature = 0
        $0.presencePenalty = 2
      }, promptTokens: [], vocabularySize: 3)
    let tokens = try (0..<4).map { try sample(&sampler, [3, 2, 1.5], step: $0).token }
    #expect(tokens == [0, 1, 2, 0])
  }

  @Test("draws follow the model's distribution")
  func distribution() throws {
    let logits = makeLogits(12, seed: 5)
    let expected = SamplingReference(parameters: parameters { _ in }, prompt: [])
      .probabilities(logits, answer: []).map { $0.probability * 20_000 }
    var sampler = try Sampler(parameters: parameters { _ in }, promptTokens: [], vocabularySize: 12)
    var counts = [Double](repeating: 0, count: 12)
    for step in 0..<20_000 { counts[try sample(&sampler, logits, step: step).token] += 1 }
    // Chi-square, 11 degrees of freedom: 31.3 is the 99.9 % point. Seed and so the result are fixed.
    let chiSquare = zip(counts, expected).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) / $1.1 }
    #expect(chiSquare < 31.3)
  }

  @Test("a draw depends on seed, stream and step alone")
  func reproducibility() throws {
    let logits = makeLogits(500, seed: 1)
    let parameters = self.parameters { $0.topP = 0.95 }
    func run(_ steps: [Int], seed: Int = 17, stream: UInt64 = 0) throws -> [Int: Int] {
      var changed = parameters
      changed.seed = seed
      var sampler = try Sampler(parameters: changed, promptTokens: [], vocabularySize: 500, stream: stream)
      return Dictionary(
        uniqueKeysWithValues: try steps.map { ($0, try sample(&sampler, logits, step: $0).token) })
    }
    let first = try run(Array(0..<50))
    #expect(try run(Array((0..<50).reversed())) == first)
    #expect(try run(Array(0..<50), seed: 18) != first)
    #expect(try run(Array(0..<50), stream: 1) != first)
    #expect(Set(first.values).count > 4)
  }

  @Test("without a seed one is taken and reported, and repeats the answer")
  func reportedSeed() throws {
    let logits = makeLogits(300, seed: 2)
    var sampler = try Sampler(parameters: SamplingParameters(), promptTokens: [], vocabularySize: 300)
    #expect((0..<1 << 53).contains(sampler.seed))
    let first = try (0..<20).map { try sample(&sampler, logits, step: $0).token }
    var again = try Sampler(
      parameters: parameters { $0.seed = sampler.seed }, promptTokens: [], vocabularySize: 300)
    #expect(try (0..<20).map { try sample(&again, logits, step: $0).token } == first)
  }

  @Test("log-probabilities are those of the raw logits, whatever shapes the draw", arguments: [1, 15, 16, 17, 203])
  func logProbabilities(count: Int) throws {
    let logits = makeLogits(count, seed: 8)
    let expected = SamplingReference.logProbabilities(logits)
    let parameters = self.parameters {
      $0.temperature = 0.5
      $0.topK = 3
      $0.logitBias = [0: 5]
      $0.logprobs = 20
    }
    var sampler = try Sampler(parameters: parameters, promptTokens: [], vocabularySize: count)
    let result = try sample(&sampler, logits)
    #expect(abs(Double(try #require(result.logProbability)) - expected[result.token]) < 2e-6)
    let order = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }.prefix(20)
    #expect(result.top.map(\.token) == Array(order))
    for entry in result.top { #expect(abs(Double(entry.logProbability) - expected[entry.token]) < 2e-6) }
  }

  @Test("log-probabilities are absent unless asked for, and may come without alternatives")
  func logProbabilityCount() throws {
    var sampler = try Sampler(parameters: .greedy, promptTokens: [], vocabularySize: 4)
    #expect(try sample(&sampler, [0, 1, 2, 3]) == SampledToken(token: 3))
    sampler = try Sampler(
      parameters: parameters {
        $0.temperature = 0
        $0.logprobs = 0
      }, promptTokens: [], vocabularySize: 4)
    let result = try sample(&sampler, [0, 0, 0, 0])
    #expect(result.top.isEmpty)
    #expect(abs(try #require(result.logProbability) + 1.386_294_4) < 1e-6)
  }

  @Test("excluded tokens are never drawn, even where nothing else is likely")
  func exclusion() throws {
    var logits = [Float](repeating: -.infinity, count: 100)
    logits[41] = -300
    logits[42] = -300
    var sampler = try Sampler(parameters: parameters { _ in }, promptTokens: [], vocabularySize: 100)
    let tokens = try (0..<50).map { try sample(&sampler, logits, step: $0).token }
    #expect(Set(tokens) == [41, 42])
    sampler = try Sampler(
      parameters: parameters {
        $0.topK = 50
        $0.topP = 0.99
      }, promptTokens: [], vocabularySize: 100)
    #expect(try Set((0..<50).map { try sample(&sampler, logits, step: $0).token }) == [41, 42])
  }

  @Test("a vocabulary of 150,000 is drawn from as defined")
  func large() throws {
    let logits = makeLogits(150_000, seed: 3)
    for (topK, topP) in [(0, Float(0.8)), (50, 1), (0, 1)] {
      let parameters = self.parameters {
        $0.topK = topK
        $0.topP = topP
      }
      var sampler = try Sampler(parameters: parameters, promptTokens: [], vocabularySize: 150_000)
      let uniform = PhiloxGenerator(seed: 17).uniformDouble(atBlock: 4)
      let expected = SamplingReference(parameters: parameters, prompt: [])
        .token(logits, answer: [], uniform: uniform)
      #expect(try sample(&sampler, logits, step: 4).token == expected)
    }
  }

  @Test("a span is sampled like a buffer")
  func span() throws {
    let logits = makeLogits(50, seed: 4)
    var sampler = try Sampler(parameters: parameters { _ in }, promptTokens: [], vocabularySize: 50)
    let expected = try sample(&sampler, logits, step: 3)
    #expect(try sampler.sample(logits.span, step: 3) == expected)
  }
}
