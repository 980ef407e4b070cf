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
          guard model == "llama-tiny", depth != nil else { continue }
          let figures = try #require(found.result.speculation)
          // What is drawn need not repeat anything.
          if case .lookup = source, !sampling.isGreedy { continue }
          #expect(figures.guessed > 0)
          if case .model = source, depth == 7 {
            // The same model with the same random numbers guesses what is drawn.
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

  /// Steps of one sequence whose guesses are of rank 0: how many there were, and what the time of all steps was.
  private func run(
    _ depth: inout SpeculationDepth, steps: Int, row: Double, guess: Double, right: (Int) -> Int
  ) -> (guessed: [Int], tokens: Int, seconds: Double) {
    var (guessed, tokens, seconds): ([Int], Int, Double) = ([], 0, 0)
    for _ in 0..<steps {
      let count = depth.counts(for: [SpeculationDepth.Candidate(rank: 0, limit: 7)])[0]
      let correct = right(count)
      if count > 0 { depth.note(guessSeconds: guess) }
      depth.note(rows: count + 1, seconds: 1 + row * Double(count))
      depth.note(rank: 0, guessed: count, right: correct)
      guessed.append(count)
      tokens += correct + 1
      seconds += 1 + (row + guess) * Double(count)
    }
    return (guessed, tokens, seconds)
  }

  @Test("guesses grow where they are right and cheap, stop where they are not, and are tried again ever more rarely")
  func depth() {
    var depth = SpeculationDepth(probabilities: [0.5], guessSeconds: 0)
    let right = run(&depth, steps: 60, row: 0.2, guess: 0) { $0 }
    #expect(right.guessed.suffix(20).allSatisfy { $0 == 7 })
    #expect(depth.counts(for: [SpeculationDepth.Candidate(rank: 0, limit: 2)]) == [2])

    depth = SpeculationDepth(probabilities: [0.7, 0.7], guessSeconds: 0)
    let wrong = run(&depth, steps: 2000, row: 0.3, guess: 0) { _ in 0 }
    #expect(wrong.seconds < 1.02 * Double(wrong.tokens) && wrong.guessed.suffix(1000).contains(1), "still tried")
    #expect(depth.counts(for: [SpeculationDepth.Candidate(rank: 1, limit: 7)])[0] > 0, "another rank is another matter")

    // Guesses that cost nearly a step each do not pay though they are right, and are hardly ever made.
    depth = SpeculationDepth(probabilities: [0.7])
    let dear = run(&depth, steps: 2000, row: 0.25, guess: 0.9) { $0 }
    #expect(dear.guessed[0] == 1 && dear.seconds < 1.01 * Double(dear.tokens))
  }

  @Test("guesses of several sequences go to those that are most likely right, and the rows are of a recorded number")
  func sharedDepth() {
    var depth = SpeculationDepth(probabilities: [0.2, 0.9], guessSeconds: 0)
    for rows in [3, 4, 6, 8, 12] { depth.note(rows: rows, seconds: 1 + 0.1 * Double(rows)) }
    let candidates = [0, 1, 1].map { SpeculationDepth.Candidate(rank: $0, limit: 7) }
    let counts = depth.counts(for: candidates)
    #expect(counts[1] >= counts[2] && counts[2] > counts[0])
    #expect([6, 8, 12, 16].contains(counts.reduce(3, +)))
    #expect(depth.counts(for: [candidates[1]], beside: 20) == [0], "there are no rows left")
    #expect(depth.counts(for: []) == [])
  }

  @Test("what cannot guess for a model is refused by name")
  func refusals() throws {
    let generator = try generator("llama-tiny")
    let other = try makeEngine(Goldens.path("models/llama-tiny-tied"))
    #expect(throws: SpeculationError.otherVocabulary(guessing: 64, vocabularySize: 264)) {
      try answer(generator, .greedy(4), Speculation(.model(other)))
    }
    let count = generator.engine.model.configuration.cacheGeometry.layerCount
    for layers in [0..<count, 1..<(count + 1), 1..<1] {
      #expect(throws: SpeculationError.noSuchLayers(layers, layerCount: count)) {
        try answer(generator, .greedy(4), Speculation(.layers(skipped: layers)))
      }
    }
  }
}
