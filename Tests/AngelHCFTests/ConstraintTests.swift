import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelGrammar
import AngelHCF
import AngelMemory
import AngelTesting
import Testing

/// A random model that is made to answer in a form: whatever it prefers, the form holds.
@Suite("Constrained answers")
struct ConstraintTests {
  private let prompt = (0..<20).map { Int32(($0 * 37 + 11) % 259) }

  private static let schema: JSONValue = [
    "type": "object",
    "properties": [
      "name": ["type": "string", "maxLength": 12], "age": ["type": "integer", "minimum": 0, "maximum": 130],
      "kind": ["enum": ["a", "b", .null]],
      "tags": ["type": "array", "items": ["type": "string", "pattern": "^[a-z]{1,4}$"], "minItems": 1, "maxItems": 3],
    ],
    "required": ["name", "age", "tags"], "additionalProperties": false,
  ]

  private static func isValid(_ text: String) throws -> Bool {
    let object = try #require(try JSONValue(parsing: Array(text.utf8), refusingEqualKeys: true).object)
    guard object.members.allSatisfy({ ["name", "age", "kind", "tags"].contains($0.key) }) else { return false }
    guard let name = object["name"]?.string, name.unicodeScalars.count <= 12 else { return false }
    guard let age = object["age"]?.integer, (0...130).contains(age) else { return false }
    guard object["kind"].map({ ["a", "b", .null].contains($0) }) ?? true else { return false }
    guard let tags = object["tags"]?.array, (1...3).contains(tags.count) else { return false }
    return tags.allSatisfy { $0.string?.wholeMatch(of: /[a-z]{1,4}/) != nil }
  }

  private func sampling(_ seed: Int, temperature: Float = 1) -> SamplingParameters {
    var sampling = SamplingParameters()
    sampling.temperature = temperature
    sampling.seed = seed
    sampling.maxTokens = 230
    return sampling
  }

  @Test(
    "every finished answer of a random model under a schema is JSON that the schema accepts",
    arguments: [Float(0), 1, 2])
  func schema(_ temperature: Float) throws {
    let session = try makeSession()
    let constraint = try session.constraints.constraint(for: .jsonSchema(Self.schema))
    var finished = 0
    for seed in 0..<(temperature == 0 ? 1 : 12) {
      let result = try session.generator.generate(
        from: prompt, in: session.engine.makeSequence(), sampling: sampling(seed, temperature: temperature),
        constraint: constraint
      ) { _ in }
      guard result.finishReason == .stop else { continue }
      finished += 1
      #expect(try Self.isValid(result.text), "\(result.text)")
    }
    #expect(finished > 0)
  }

  @Test(
    "JSON objects, expressions, choices and grammars hold, each by its own measure",
    arguments: [
      OutputFormat.choice(["red", " green", "blue é"]), .regularExpression("[ab]{3} \\d{2}(é|世)"),
      .grammar("root ::= \"<\" [a-z ]{5,9} \">\""), .jsonObject,
    ])
  func formats(_ format: OutputFormat) throws {
    let session = try makeSession()
    let constraint = try session.constraints.constraint(for: format)
    let result = try session.generator.generate(
      from: prompt, in: session.engine.makeSequence(), sampling: sampling(3), constraint: constraint
    ) { _ in }
    var matcher = TokenMatcher(
      try TokenConstraint(format.makeGrammar(), TokenVocabulary(StringTable(), endTokens: [])))
    let isTaken = matcher.accept(Array(result.text.utf8))
    #expect(isTaken && matcher.canEnd == (result.finishReason == .stop), "\(result.text)")
    // A random model ends a JSON object when it likes.
    #expect(result.finishReason == .stop || format == .jsonObject)
  }

  @Test("in a batch, constrained answers are those of one stream, and their neighbours' are what they are alone")
  func batch() throws {
    let session = try makeSession(arithmetic: .fast)
    let constraint = try session.constraints.constraint(for: .jsonSchema(Self.schema))
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    let engine = try BatchEngine(
      Checkpoint.open(TinyModel.goldens), on: backend, pool: backend.pool, arithmetic: .fast, options: ServingOptions())
    let own = try engine.constraints.constraint(for: .jsonSchema(Self.schema))
    var logs: [WaitingLog] = []
    for index in 0..<12 {
      var request = ServingRequest(prompt: Array(prompt.dropFirst(index % 3)), sampling: sampling(index))
      request.sampling.maxTokens = 60
      request.sampling.logprobs = 2
      if index % 2 == 0 { request.constraint = own }
      let log = WaitingLog()
      _ = try engine.submit(request, onEvent: log.add)
      logs.append(log)
    }
    for (index, log) in logs.enumerated() {
      let events = log.wait()
      var alone = sampling(index)
      alone.maxTokens = 60
      alone.logprobs = 2
      let expected = try session.generator.generate(
        from: Array(prompt.dropFirst(index % 3)), in: session.engine.makeSequence(), sampling: alone,
        constraint: index % 2 == 0 ? constraint : nil
      ) { _ in }
      #expect(events.tokens() == expected.tokens && events.text() == expected.text, "request \(index)")
      #expect(events.reasons == [0: expected.finishReason])
    }
  }

  @Test("each of several answers to a request follows the form by itself, and the seed repeats them")
  func severalAnswers() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    let engine = try BatchEngine(
      Checkpoint.open(TinyModel.goldens), on: backend, pool: backend.pool, arithmetic: .fast, options: ServingOptions())
    var request = ServingRequest(prompt: prompt, sampling: sampling(5))
    request.answerCount = 6
    request.constraint = try engine.constraints.constraint(for: .regularExpression("[a-c]{4}-\\d{4}"))
    var rounds: [[String]] = []
    for _ in 0..<2 {
      let log = WaitingLog()
      _ = try engine.submit(request, onEvent: log.add)
      let events = log.wait()
      rounds.append((0..<6).map { events.text(of: $0) })
    }
    #expect(rounds[0] == rounds[1] && Set(rounds[0]).count > 1)
    for text in rounds[0] { #expect(text.wholeMatch(of: /[a-c]{4}-[0-9]{4}/) != nil, "\(text)") }
  }

  @Test("an answer ends where nothing more may follow, without the model's end token, and only there")
  func ending() throws {
    let session = try makeSession()
    let constraint = try session.constraints.constraint(for: .grammar(#"root ::= "ab" "c"{3}"#))
    var greedy = SamplingParameters.greedy
    greedy.ignoresEndToken = true
    greedy.logprobs = 5
    let result = try session.generator.generate(
      from: prompt, in: session.engine.makeSequence(), sampling: greedy, constraint: constraint
    ) { _ in }
    #expect(result.text == "abccc" && result.finishReason == .stop)
    // Log-probabilities are those among the tokens that are allowed.
    for sampled in result.logProbabilities {
      #expect(sampled.top.allSatisfy { $0.logProbability > -.infinity })
      #expect(sampled.logProbability.map { $0 <= 0 } == true)
    }
  }

  @Test("where several tokens are taken at once because they were guessed, none is lost at the end of a form")
  func guesses() throws {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    let engine = try BatchEngine(
      Checkpoint.open(TinyModel.goldens), on: backend, pool: backend.pool, arithmetic: .fast, options: ServingOptions())
    // What repeats is what look-ups guess, and near the end there is one way to go on.
    let constraint = try engine.constraints.constraint(for: .grammar(#"root ::= "ab"{40} "!""#))
    for length in 1...8 {
      let again = try engine.tokenizer.encode(String(repeating: "ab", count: 20 + length), addingSpecialTokens: false)
      var request = ServingRequest(prompt: again, sampling: sampling(length, temperature: 0))
      request.constraint = constraint
      let log = WaitingLog()
      _ = try engine.submit(request, onEvent: log.add)
      let events = log.wait()
      #expect(events.text() == String(repeating: "ab", count: 40) + "!" && events.reasons == [0: .stop])
    }
  }

  @Test("a constraint is made once for all who ask for the same")
  func sharing() throws {
    let session = try makeSession()
    let first = try session.constraints.constraint(for: .jsonSchema(Self.schema))
    #expect(try session.constraints.constraint(for: .jsonSchema(Self.schema)) === first)
    #expect(try session.constraints.constraint(for: .jsonObject) !== first)
    #expect(throws: GrammarError.self) { try session.constraints.constraint(for: .jsonSchema(["not": [:]])) }
  }
}
