import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelTesting
import AngelText
import Testing

@Suite("Conversations")
struct ChatSessionTests {
  let backend: CountingBackend
  let session: LanguageModelSession

  init() throws {
    backend = CountingBackend(try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1))
    session = try LanguageModelSession(
      Checkpoint.open(TinyModel.goldens), on: backend, pool: backend.inner.pool, arithmetic: .f32)
  }

  private func sampling(_ count: Int) -> SamplingParameters {
    var sampling = SamplingParameters.greedy(count)
    sampling.ignoresEndToken = true
    return sampling
  }

  /// The answer of a fresh sequence to the same conversation.
  private func fresh(_ messages: [ChatMessage], _ sampling: SamplingParameters) throws -> GenerationResult {
    defer { _ = backend.takeRows() }
    return try session.answer(session.promptTokens(for: messages), sampling)
  }

  @Test("a turn runs only what is new, and answers as a fresh session given the whole conversation")
  func turns() throws {
    let chat = ChatSession(session)
    chat.setSystemMessage("Be brief.")
    var cached: [Int32] = []
    for (index, question) in ["Is the tiny model 42 there?", "And now?", "Who?"].enumerated() {
      let asked = chat.messages + [ChatMessage(role: "user", question)]
      let prompt = try session.promptTokens(for: asked)
      let expected = try fresh(asked, sampling(10))
      let result = try chat.respond(to: question, sampling: sampling(10)) { _ in }
      #expect(result.tokens == expected.tokens && result.text == expected.text)
      #expect(result.promptTokenCount == prompt.count)
      let shared = zip(prompt, cached).prefix { $0 == $1 }.count
      // Of ten sampled tokens the last does not run.
      #expect(backend.takeRows() == prompt.count - min(shared, prompt.count - 1) + 9)
      if index > 0 { #expect(shared > 40, "the conversation so far is not run again") }
      cached = prompt + result.tokens.dropLast()
      #expect(result.cachedTokenCount == min(shared, prompt.count - 1))
      #expect(
        chat.messages.suffix(2) == [ChatMessage(role: "user", question), ChatMessage(role: "assistant", result.text)])
    }
    #expect(chat.messages.count == 7)
  }

  @Test("after a reset only the system message is left, and its tokens need not run again")
  func reset() throws {
    let chat = ChatSession(session)
    chat.setSystemMessage("Be brief.")
    _ = try chat.respond(to: "Hello there", sampling: sampling(4)) { _ in }
    chat.reset()
    #expect(chat.messages == [ChatMessage(role: "system", "Be brief.")])
    let asked = chat.messages + [ChatMessage(role: "user", "Bye")]
    let expected = try fresh(asked, sampling(4))
    let result = try chat.respond(to: "Bye", sampling: sampling(4)) { _ in }
    #expect(result.tokens == expected.tokens)
    let system = try session.promptTokens(for: [ChatMessage(role: "system", "Be brief.")]).count
    let rows = backend.takeRows()
    #expect(
      rows < result.promptTokenCount, "\(rows) rows of \(result.promptTokenCount) with a system turn of \(system)")
  }

  @Test("a changed system message changes the answer as it does in a fresh conversation")
  func systemMessage() throws {
    let chat = ChatSession(session)
    _ = try chat.respond(to: "Hello there", sampling: sampling(6)) { _ in }
    chat.setSystemMessage("Speak of models")
    #expect(chat.messages.map(\.role) == ["system", "user", "assistant"])
    let expected = try fresh(chat.messages + [ChatMessage(role: "user", "Go on")], sampling(6))
    #expect(try chat.respond(to: "Go on", sampling: sampling(6)) { _ in }.tokens == expected.tokens)
    chat.setSystemMessage(nil)
    #expect(chat.messages.first?.role == "user")
    let without = try fresh(chat.messages + [ChatMessage(role: "user", "Go on")], sampling(6))
    #expect(try chat.respond(to: "Go on", sampling: sampling(6)) { _ in }.tokens == without.tokens)
  }

  @Test("an error leaves the conversation as it was, and it can go on")
  func errors() throws {
    struct ReaderGone: Error {}
    let chat = ChatSession(session)
    _ = try chat.respond(to: "Hello", sampling: sampling(4)) { _ in }
    let before = chat.messages
    #expect(throws: EngineError.self) {
      try chat.respond(to: String(repeating: "x", count: 400), sampling: sampling(4)) { _ in }
    }
    #expect(chat.messages == before)
    #expect(throws: ReaderGone.self) { try chat.respond(to: "And?", sampling: sampling(4)) { _ in throw ReaderGone() } }
    #expect(chat.messages == before)
    var bad = sampling(4)
    bad.topP = 2
    #expect(throws: SamplingError.self) { try chat.respond(to: "And?", sampling: bad) { _ in } }
    #expect(chat.messages == before)
    let expected = try fresh(before + [ChatMessage(role: "user", "And?")], sampling(4))
    #expect(try chat.respond(to: "And?", sampling: sampling(4)) { _ in }.tokens == expected.tokens)
  }

  @Test("an interrupted answer is kept as far as it came, and the next turn follows it")
  func interruption() throws {
    let chat = ChatSession(session)
    let whole = try fresh([ChatMessage(role: "user", "Hello there")], sampling(12))
    var steps = 0
    session.engine.isInterrupted = {
      steps += 1
      return steps > 5
    }
    let result = try chat.respond(to: "Hello there", sampling: sampling(12)) { _ in }
    #expect(result.finishReason == .interrupted && result.tokens == Array(whole.tokens.prefix(5)))
    #expect(whole.text.hasPrefix(result.text))
    #expect(chat.messages.last == ChatMessage(role: "assistant", result.text))
    session.engine.isInterrupted = { false }
    let expected = try fresh(chat.messages + [ChatMessage(role: "user", "More")], sampling(6))
    #expect(try chat.respond(to: "More", sampling: sampling(6)) { _ in }.tokens == expected.tokens)
  }

  @Test("a model without a chat template says so")
  func noTemplate() throws {
    let folder = try TinyModel().folder()
    try folder.write(Array("{}".utf8), to: "other.json")
    let plain = try TemporaryFolder()
    for file in ["config.json", "model.safetensors"] { try plain.link(folder(file), as: file) }
    try plain.link(TinyModel.goldens + "/tokenizer.json", as: "tokenizer.json")
    let session = try makeSession(plain.path)
    #expect(throws: SessionError.noChatTemplate(path: plain.path)) {
      try ChatSession(session).respond(to: "Hello", sampling: sampling(4)) { _ in }
    }
  }
}
