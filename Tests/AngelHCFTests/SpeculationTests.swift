@testable import AngelHCF
import AngelTesting
import AngelText
import Testing

@Suite("Speculation")
struct SpeculationTests {
  /// With repetitions for look-ups, and not of one kind.
  private let prompt = (0..<60).map { Int32(($0 % 23) * 37 % 255 + 3) }

  private func generator(_ model: String, threads: Int = 1) throws -> TextGenerator {
    let tokenizer = try makeSession().tokenizer
    return TextGenerator(
      try makeEngine(Goldens.path("models/" + model), threads: threads), tokenizer: tokenizer, endTokens: [])
  }

  /// An answer and what its sequence holds afterwards.
  private func answer(
    _ generator: TextGenerator, _ sampling: SamplingParameters, _ speculation: Speculation?
  ) throws -> (result: GenerationResult, held: [Int32]) {
    var generator = generator
    generator.speculation = speculation
    let sequence = generator.engine.makeSequence()
    var pieces = ""
    let result = try generator.generate(from: prompt, in: sequence, sampling: sampling) { pieces += $0 }
    #expect(pieces == result.text)
    return (result, sequence.tokens)
  }

  /// Greedy, drawn, and drawn with everything that looks back at the answer.
  private var samplings: [SamplingParameters] {
    var drawn = SamplingParameters()
    (drawn.seed, drawn.maxTokens, drawn.logprobs) = (3, 40, 2)
    var penalised = drawn
    (penalised.temperature, penalised.topP, penalised.topK) = (0.7, 0.95, 80)
    (penalised.repetitionPenalty, penalised.frequencyPenalty) = (1.2, 0.3)
    return [.greedy(40), drawn, penalised]
  }

  @Test(
    "answers, their log-probabilities and the cache are the same bits with guesses as without",
    arguments: [
      "llama-tiny", "llama-tiny-dynamic", "llama-tiny-longrope", "gemma3_text-tiny", "gpt2-tiny", "qwen3_moe-tiny",
      "hunyuan_v1_dense-tiny",
    ])
  func sameBits(_ model: String) throws {
    let (plain, other) = (try generator(model), try generator(model))
    for sampling in samplings {
      let expected = try answer(plain, sampling, nil)
      #expect(expected.held == prompt + expected.result.tokens.dropLast())
      for source in [Speculation.Source.lookup, .model(other.engine), .layers(skipped: 0..<1)] {
        for depth in [1, 2, 7, nil] {
          let found = try answer(plain, sampling, Speculation(source, depth: depth))
          #expect(found.result.tokens == expected.result.tokens, "\(source), depth \(depth ?? -1)")
          #expect(found.result.text == expected.result.text)
          #expect(found.result.logProbabilities == expected.result.logProbabilities)
          #expect(found.held == expected.held)
          if case .model = source, depth == 7, model == "llama-tiny" {
            // The same model with the same random numbers guesses what is drawn.
            let figures = try #require(found.result.speculation)
            #expect(figures.accepted == figures.guessed && figures.steps == 5 && figures.accepted == 34)
          }
        }
      }
    }
  }

  @Test("an answer ends among guesses where it would without: stop texts, end tokens, the most tokens, the context")
  func ends() throws {
    var generator = try makeSession().generator
    let other = try makeSession().engine
    let prompt = try #require(try Goldens.json("models/llama-tiny/end-to-end.json")["plain"]?["tokens"]?.tokens)
    func answer(_ sampling: SamplingParameters) throws -> [GenerationResult] {
      try [nil, Speculation(.model(other), depth: 7), Speculation(.lookup, depth: 7)].map {
        generator.speculation = $0
        return try generator.generate(from: prompt, in: generator.engine.makeSequence(), sampling: sampling) { _ in }
      }
    }
    func expectSame(_ results: [GenerationResult], _ reason: FinishReason) {
      for result in results {
        #expect(result.text == results[0].text && result.tokens == results[0].tokens)
        #expect(result.finishReason == reason)
      }
    }
    for stop in ["gs", "AD)A", "E", "W"] {
      var sampling = SamplingParameters.greedy(16)
      sampling.stop = [stop]
      expectSame(try answer(sampling), .stop)
    }
    for count in 1...10 { expectSame(try answer(.greedy(count)), .length) }
    var sampling = SamplingParameters.greedy(12)
    // The tenth token of the greedy answer ends it.
    sampling.logitBias = [:]
    let tokens = try answer(sampling)[0].tokens
    generator = TextGenerator(generator.engine, tokenizer: generator.tokenizer, endTokens: [tokens[9]])
    expectSame(try answer(sampling), .stop)
    let short = try makeSession { $0.contextLength = prompt.count + 8 }
    generator = short.generator
    sampling = .greedy
    sampling.ignoresEndToken = true
    let results = try answer(sampling)
    expectSame(results, .length)
    #expect(results[0].tokens.count == 8)
  }

  @Test("look-ups guess what followed the longest and latest occurrence, and go round in a loop")
  func lookups() throws {
    let sampler = try Sampler(parameters: .greedy, promptTokens: [], vocabularySize: 300)
    func guess(_ text: [Int32], _ count: Int = 4) -> (Int?, [Int32]) {
      var guesser = LookupGuesser()
      let rank = guesser.rank(after: text)
      return (rank, guesser.guesses(after: text, count: count, sampler: sampler, step: 0))
    }
    #expect(guess([1]) == (nil, []))
    #expect(guess([1, 2, 3, 4]) == (nil, []))
    #expect(guess([1, 2, 9, 8, 7, 6, 1, 2]) == (0, [9, 8, 7, 6]))
    #expect(guess([1, 2, 9, 5, 1, 2, 8, 6, 1, 2], 2) == (0, [8, 6]), "the latest")
    #expect(guess([3, 1, 2, 9, 5, 7, 1, 2, 8, 6, 3, 1, 2], 2) == (1, [9, 5]), "the longest")
    #expect(guess([7, 1, 2, 3, 1, 2, 3, 1, 2], 7) == (2, [3, 1, 2, 3, 1, 2, 3]), "a loop")
    // As a text grows, the same as when it is read at once.
    let text = (0..<400).map { Int32($0 * $0 % 17 + $0 / 90) }
    var growing = LookupGuesser()
    for end in 1...text.count {
      let part = Array(text[..<end])
      let rank = growing.rank(after: part)
      #expect((rank, growing.guesses(after: part, count: 5, sampler: sampler, step: 0)) == guess(part, 5))
    }
  }

  @Test("guesses grow where they are right and cheap, stop where they are not, and are tried again ever more rarely")
  func depth() {
    var right = SpeculationDepth(probabilities: [0.5], guessSeconds: 0)
    for _ in 0..<60 {
      let count = right.count(rank: 0, limit: 7)
      right.note(rows: count + 1, seconds: 1 + 0.2 * Double(count))
      right.note(rank: 0, guessed: count, right: count, guessSeconds: 0)
    }
    #expect(right.count(rank: 0, limit: 7) == 7)
    #expect(right.count(rank: 0, limit: 2) == 2)

    var wrong = SpeculationDepth(probabilities: [0.7, 0.7], guessSeconds: 0)
    var guessed: [Int] = []
    for _ in 0..<2000 {
      let count = wrong.count(rank: 0, limit: 7)
      wrong.note(rows: count + 1, seconds: 1 + 0.3 * Double(count))
      wrong.note(rank: 0, guessed: count, right: 0, guessSeconds: 0)
      guessed.append(count)
    }
    // What they cost in all, in steps: 2 % at most.
    #expect(Double(guessed.reduce(0, +)) * 0.3 < 40)
    #expect(guessed.suffix(1000).contains(1), "still tried")
    #expect(wrong.count(rank: 1, limit: 7) > 0, "another rank is another matter")

    // Guesses that cost nearly a step each must be right nearly always to pay: here they are, and yet hardly ever made.
    var dear = SpeculationDepth(probabilities: [0.7])
    var (plain, spent) = (0.0, 0.0)
    for _ in 0..<2000 {
      let count = dear.count(rank: 0, limit: 7)
      let right = count * 9 / 10 + (count == 1 ? 1 : 0)
      let cost = 1 + 0.25 * Double(count)
      dear.note(rows: count + 1, seconds: cost)
      dear.note(rank: 0, guessed: count, right: right, guessSeconds: 0.9 * Double(count))
      plain += Double(right + 1)
      spent += cost + 0.9 * Double(count)
    }
    #expect(spent < 1.01 * plain)
  }

  @Test("what cannot guess for a model is refused by name")
  func refusals() throws {
    let generator = try generator("llama-tiny")
    let other = try self.generator("gpt2-tiny")
    if other.engine.vocabularySize != generator.engine.vocabularySize {
      #expect(
        throws: SpeculationError.otherVocabulary(
          guessing: other.engine.vocabularySize, vocabularySize: generator.engine.vocabularySize)
      ) { try answer(generator, .greedy(4), Speculation(.model(other.engine))) }
    }
    let count = generator.engine.model.configuration.cacheGeometry.layerCount
    for layers in [0..<count, 1..<(count + 1), 1..<1] {
      #expect(throws: SpeculationError.noSuchLayers(layers, layerCount: count)) {
        try answer(generator, .greedy(4), Speculation(.layers(skipped: layers)))
      }
    }
  }
}
