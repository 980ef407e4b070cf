import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelNN
import AngelTesting
import AngelText
import Glibc
import Testing

/// The real SmolLM2-135M-Instruct against transformers on its dequantised weights (Tests/Goldens/models/README.md).
///
/// Runs where the model is in the store or `ANGEL_SMOLLM2` names its Q4_1 file; measured values go to standard error.
@Suite("SmolLM2 equals transformers", .enabled(if: SmolLM2.path != nil, SmolLM2.notice), .serialized)
struct SmolLM2Tests {
  @Test("tokens of all prompts, and of 100,000 bytes of Shakespeare")
  func tokens() throws {
    let tokenizer = try Tokenizer(SmolLM2.checkpoint().tokenizer())
    for prompt in try SmolLM2.prompts() {
      let tokens = try tokenizer.encode(
        prompt.text, addingSpecialTokens: false, parsingSpecialTokens: prompt.name == "chat")
      #expect(tokens == prompt.tokens, "\(prompt.name)")
    }
    let all = try SmolLM2.corpus(tokenizer)
    let golden = try Goldens.json("models/smollm2/perplexity.json")
    #expect(all.count == golden["tokenCount"]?.integer)
    let digest = SHA256.hexadecimal(of: all.flatMap { GGUFBuilder.number($0) })
    #expect(digest == golden["tokensSHA256"]?.string)
  }

  @Test("the chat template gives the reference's prompt")
  func chat() throws {
    let session = try SmolLM2.session(.f32)
    let golden = try #require(try Goldens.json("models/smollm2/golden.json")["chat"])
    let messages = try #require(golden["messages"]?.array).map { try ChatMessage(json: $0) }
    let text = try session.chatTemplate?.render(messages: messages)
    #expect(text == golden["text"]?.string)
    #expect(try session.promptTokens(for: messages) == golden["tokens"]?.tokens)
  }

  @Test("float32: logits at every position of two prompts, and 32 greedy tokens of every prompt")
  func float32() throws {
    let session = try SmolLM2.session(.f32)
    var worst = 0.0
    for prompt in try SmolLM2.prompts() {
      if let logits = prompt.logits {
        let want = try Goldens.floats("models/smollm2/\(logits.file)")
        for (position, row) in try session.engine.rows(prompt.tokens).enumerated() {
          let got = stride(from: 0, to: row.count, by: logits.vocabularyStride).map { row[$0] }
          let error = normalizedError(got, want[(position * got.count)..<((position + 1) * got.count)])
          #expect(error < 1e-3, "\(prompt.name), position \(position)")
          worst = max(worst, error)
        }
      }
      var sampling = SamplingParameters.greedy(32)
      sampling.ignoresEndToken = true
      #expect(try session.answer(prompt.tokens, sampling).tokens == prompt.greedy, "\(prompt.name)")
    }
    SmolLM2.report("largest relative error of float32 logits: \(worst)")
  }

  @Test("float32: the likelihood of every window of Shakespeare")
  func perplexityFloat32() throws {
    let count = Environment.current().runsAllTests ? 60 : 5
    var worst = 0.0
    let total = try measure(.f32, windows: count) { got, want in
      #expect(abs(got - want) <= 1e-4 * want)
      worst = max(worst, abs(got - want) / want)
    }
    SmolLM2.report("float32 perplexity over \(count) windows: \(total), worst relative error of a window \(worst)")
    if count == 60 {
      let golden = try #require(try Goldens.json("models/smollm2/perplexity.json")["perplexity"]?.double)
      #expect(abs(total - golden) < 1e-4 * golden)
    }
  }

  @Test("fast: perplexity within 0.5 % of float32's")
  func perplexityFast() throws {
    let count = Environment.current().runsAllTests ? 20 : 5
    var (got, want) = (0.0, 0.0)
    let perplexity = try measure(.fast, windows: count) {
      got += $0
      want += $1
    }
    let expected = exp(want / Double(511 * count))
    #expect(abs(perplexity - expected) < 0.005 * expected)
    SmolLM2.report("fast perplexity over \(count) windows: \(perplexity), float32's \(expected)")
  }

  @Test(
    "a token's logits are the same bits in chunks of any length and on any number of threads",
    .enabled(if: Environment.current().runsAllTests, "a long test: ./test --all"), arguments: [Arithmetic.fast, .f32])
  func contract(_ arithmetic: Arithmetic) throws {
    let tokenizer = try Tokenizer(SmolLM2.checkpoint().tokenizer())
    let tokens = Array(try SmolLM2.corpus(tokenizer).prefix(512))
    var reference: [UInt64]?
    for (chunk, threads) in [(512, 1), (512, 2), (32, 2), (7, 1), (2, 2), (1, 2)] {
      let session = try SmolLM2.session(arithmetic, threads: threads) { $0.chunkLength = chunk }
      var digests: [UInt64] = []
      // 512 rows are 100 MB: a digest of each row's bits is compared instead.
      try session.engine.allLogits(after: tokens, in: session.engine.makeSequence()) { digests.append(digest($0)) }
      #expect(digests.count == tokens.count)
      #expect(digests == reference ?? digests, "\(arithmetic), chunks of \(chunk), \(threads) threads")
      reference = reference ?? digests
    }
  }

  @Test("a seed gives the same text on one and on two threads")
  func seeds() throws {
    var sampling = SamplingParameters()
    (sampling.seed, sampling.topP, sampling.maxTokens, sampling.ignoresEndToken) = (7, 0.95, 16, true)
    let prompt = try #require(try SmolLM2.prompts().first { $0.name == "story" })
    let answers = try [1, 2].map { try SmolLM2.session(.fast, threads: $0).answer(prompt.tokens, sampling) }
    #expect(answers[0].tokens == answers[1].tokens && answers[0].text == answers[1].text)
  }

  /// Scores the first windows; `check` takes each one's negative log-likelihood and the reference's.
  private func measure(_ arithmetic: Arithmetic, windows: Int, _ check: (Double, Double) -> Void) throws -> Double {
    let session = try SmolLM2.session(arithmetic)
    let tokens = try SmolLM2.corpus(session.tokenizer)
    let golden = try #require(
      try Goldens.json("models/smollm2/perplexity.json")["windowNegativeLogLikelihood"]?.array)
    var all = Perplexity()
    for window in 0..<windows {
      var one = Perplexity()
      try one.score(Array(tokens[(512 * window)..<(512 * (window + 1))]), with: session.engine)
      all.add(one)
      check(log(one.value) * 511, try #require(golden[window].double))
    }
    return all.value
  }

  /// FNV-1a over the bits, a 64-bit word at a time.
  private func digest(_ values: UnsafeBufferPointer<Float>) -> UInt64 {
    UnsafeRawBufferPointer(values).withMemoryRebound(to: UInt64.self) { words in
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      for index in words.indices { hash = (hash ^ words[index]) &* 0x100_0000_01b3 }
      return hash
    }
  }
}

/// Where the real model is, and what it is held against.
enum SmolLM2 {
  static let notice: Comment = "needs the model: angel pull smollm2, or ANGEL_SMOLLM2=FILE"

  static let path: String? = {
    let environment = Environment.current()
    if let path = environment.smolLM2Path { return path }
    return (try? ModelStore(environment: environment).stored("smollm2"))?.path
  }()

  struct Prompt {
    let name: String
    let text: String
    let tokens: [Int32]
    let greedy: [Int32]
    let logits: (file: String, vocabularyStride: Int)?
  }

  static func checkpoint() throws -> Checkpoint { try Checkpoint.open(#require(path)) }

  static func session(
    _ arithmetic: Arithmetic, threads: Int? = nil, _ change: (inout EngineOptions) -> Void = { _ in }
  ) throws -> LanguageModelSession {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 30), threadCount: threads)
    var options = EngineOptions()
    options.cacheDType = arithmetic == .f32 ? .float32 : .float16
    options.contextLength = 1024
    change(&options)
    return try LanguageModelSession(
      checkpoint(), on: backend, pool: backend.pool, arithmetic: arithmetic, options: options)
  }

  /// The golden prompts, the chat's last.
  static func prompts() throws -> [Prompt] {
    let golden = try Goldens.json("models/smollm2/golden.json")
    let entries = try #require(golden["prompts"]?.array) + [try #require(golden["chat"])]
    return try entries.map { entry in
      var logits: (String, Int)?
      if let file = entry["logits"]?["file"]?.string, let step = entry["logits"]?["vocabularyStride"]?.integer {
        logits = (file, step)
      }
      return Prompt(
        name: try #require(entry["name"]?.string), text: try #require(entry["text"]?.string),
        tokens: try #require(entry["tokens"]?.tokens), greedy: try #require(entry["greedy"]?.tokens), logits: logits)
    }
  }

  /// The tokens of the golden text.
  static func corpus(_ tokenizer: Tokenizer) throws -> [Int32] {
    let bytes = try Goldens.bytes("models/smollm2/shakespeare-100k.txt")
    return try tokenizer.encode(bytes, addingSpecialTokens: false, parsingSpecialTokens: false)
  }

  /// A measured value, for the reader of the test's output.
  static func report(_ text: String) {
    let line = Array("SmolLM2: \(text)\n".utf8)
    _ = write(2, line, line.count)
  }
}
