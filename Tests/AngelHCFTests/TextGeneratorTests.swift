import AngelCore
import AngelHCF
import AngelTesting
import AngelText
import Glibc
import Testing

@Suite("Text generation")
struct TextGeneratorTests {
  let golden: JSONValue

  init() throws { golden = try Goldens.json("models/llama-tiny/end-to-end.json") }

  private var prompt: [Int32] { get throws { try #require(golden["plain"]?["tokens"]?.tokens) } }

  @Test("the greedy answer is the one of transformers, text and tokens", arguments: ["llama-tiny", "qwen3-tiny"])
  func greedy(_ model: String) throws {
    let session = try makeSession(Goldens.path("models/\(model)"))
    let golden = try Goldens.json("models/\(model)/end-to-end.json")
    for name in ["plain", "chat"] {
      let entry = try #require(golden[name])
      let text = try #require(entry["text"]?.string)
      let messages = try entry["messages"]?.array?.map { try ChatMessage(json: $0) }
      let prompt = try messages.map { try session.promptTokens(for: $0) } ?? session.promptTokens(for: text)
      #expect(prompt == entry["tokens"]?.tokens)
      var sampling = SamplingParameters.greedy(16)
      sampling.ignoresEndToken = true
      let result = try session.answer(prompt, sampling)
      #expect(result.tokens == entry["greedy"]?.tokens)
      #expect(result.text == entry["greedyText"]?.string)
      #expect(result.finishReason == .length && result.promptTokenCount == prompt.count)
    }
  }

  @Test("a stop string ends the answer before itself, wherever tokens are cut")
  func stopStrings() throws {
    let session = try makeSession()
    // The greedy answer is E)PglgsAD)AD\B1W.
    for (stop, text) in [("gs", "E)Pgl"), ("AD)A", "E)Pglgs"), ("E", ""), ("W", "E)PglgsAD)AD\\B1")] {
      var sampling = SamplingParameters.greedy(16)
      sampling.stop = ["nowhere", stop]
      let result = try session.answer(prompt, sampling)
      #expect(result.text == text && result.finishReason == .stop)
    }
    var sampling = SamplingParameters.greedy(16)
    sampling.stop = ["1Wx"]
    let result = try session.answer(prompt, sampling)
    #expect(result.text == "E)PglgsAD)AD\\B1W", "what was held back for a stop string comes at the end")
    #expect(result.finishReason == .length)
  }

  @Test("end tokens end the answer and have no text, unless they are ignored")
  func endTokens() throws {
    let session = try makeSession()
    #expect(session.endTokens.contains(2))
    var sampling = SamplingParameters.greedy(5)
    sampling.logitBias = [2: 100]
    let ended = try session.answer(prompt, sampling)
    #expect(ended.tokens == [2] && ended.text.isEmpty && ended.finishReason == .stop)
    sampling.ignoresEndToken = true
    let ignored = try session.answer(prompt, sampling)
    #expect(ignored.tokens == [2, 2, 2, 2, 2] && ignored.text.isEmpty && ignored.finishReason == .length)
  }

  @Test("the answer ends with the context, and a prompt that fills it is refused")
  func contextEnd() throws {
    let session = try makeSession { $0.contextLength = 40 }
    let prompt = try prompt
    #expect(prompt.count == 32)
    var sampling = SamplingParameters.greedy
    sampling.ignoresEndToken = true
    let result = try session.answer(prompt, sampling)
    #expect(result.tokens.count == 8 && result.finishReason == .length)
    for length in [40, 41, 300] {
      let long = [Int32](repeating: 5, count: length)
      #expect(throws: EngineError.noRoomForAnswer(tokens: length, limit: 40)) {
        try session.answer(long, sampling)
      }
    }
    #expect(throws: EngineError.emptyPrompt) { try session.answer([], sampling) }
  }

  @Test("log-probabilities are those of the logits, likeliest first")
  func logProbabilities() throws {
    let session = try makeSession()
    var sampling = SamplingParameters.greedy(4)
    sampling.logprobs = 3
    let result = try session.answer(prompt, sampling)
    #expect(result.logProbabilities.map(\.token) == result.tokens.map(Int.init))
    let rows = try session.engine.rows(prompt + result.tokens.dropLast())
    for (step, sampled) in result.logProbabilities.enumerated() {
      let logits = rows[try prompt.count - 1 + step].map(Double.init)
      let maximum = try #require(logits.max())
      let normalizer = maximum + log(logits.reduce(0) { $0 + exp($1 - maximum) })
      #expect(sampled.top.count == 3 && sampled.top[0].token == sampled.token)
      for entry in sampled.top {
        #expect(abs(Double(entry.logProbability) - (logits[entry.token] - normalizer)) < 1e-5)
      }
      #expect(sampled.top.map(\.logProbability) == sampled.top.map(\.logProbability).sorted(by: >))
    }
  }

  @Test("a seed gives the same text on any number of threads and in chunks of any length")
  func reproducible() throws {
    var sampling = SamplingParameters()
    sampling.topP = 0.95
    sampling.topK = 60
    sampling.minP = 0.01
    sampling.repetitionPenalty = 1.1
    sampling.presencePenalty = 0.2
    sampling.maxTokens = 24
    sampling.ignoresEndToken = true
    var bySeed: [Int: GenerationResult] = [:]
    for threads in 1...3 {
      for chunk in [1, 7, 512] {
        let session = try makeSession(threads: threads, arithmetic: .fast) { $0.chunkLength = chunk }
        for seed in [1, 99] {
          sampling.seed = seed
          let result = try session.answer(prompt, sampling)
          let first = bySeed[seed] ?? result
          #expect(result.tokens == first.tokens && result.text == first.text, "\(threads) threads, chunks of \(chunk)")
          #expect(result.seed == seed)
          bySeed[seed] = first
        }
      }
    }
    #expect(bySeed[1]?.tokens != bySeed[99]?.tokens)
  }

  @Test("a random seed is reported, and gives the same answer again")
  func reportedSeed() throws {
    let session = try makeSession()
    var sampling = SamplingParameters()
    sampling.maxTokens = 12
    let first = try session.answer(prompt, sampling)
    sampling.seed = first.seed
    #expect(try session.answer(prompt, sampling).tokens == first.tokens)
  }

  @Test("an error of the reader of the text ends generation, and the session goes on working")
  func emitError() throws {
    struct ReaderGone: Error {}
    let session = try makeSession()
    let sequence = session.engine.makeSequence()
    #expect(throws: ReaderGone.self) {
      try session.generator.generate(from: try prompt, in: sequence, sampling: .greedy(4)) { _ in throw ReaderGone() }
    }
    let again = try session.generator.generate(from: try prompt, in: sequence, sampling: .greedy(4)) { _ in }
    #expect(again.text == "E)Pg")
  }

  @Test("draws depend on the seed and the step, not on the order of calls")
  func drawsByPosition() throws {
    var parameters = SamplingParameters()
    parameters.seed = 5
    let logits = (0..<50).map { Float($0 % 7) * 0.1 }
    func draws(_ steps: [Int]) throws -> [Int: Int] {
      var sampler = try Sampler(parameters: parameters, promptTokens: [], vocabularySize: 50)
      var tokens: [Int: Int] = [:]
      for step in steps {
        tokens[step] = try logits.withUnsafeBufferPointer { try sampler.sample($0, step: step) }.token
      }
      return tokens
    }
    let forward = try draws(Array(0..<64))
    #expect(try draws((0..<64).reversed()) == forward)
    #expect(try draws((0..<64).map { $0 * 37 % 64 }) == forward)
    #expect(Set(forward.values).count > 10)
  }
}
