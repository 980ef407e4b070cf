import AngelCore
public import AngelText

/// A conversation whose keys and values stay cached between turns: only what is new runs.
public final class ChatSession {
  /// The turns so far, a system message first where there is one.
  public private(set) var messages: [ChatMessage] = []
  private let session: LanguageModelSession
  private var sequence: CachedSequence
  /// The text of the last prompt with its answer, and the tokens that ran for it.
  private var past: (text: String, tokens: [Int32])?

  public init(_ session: LanguageModelSession) {
    self.session = session
    sequence = session.engine.makeSequence()
  }

  /// Replaces the system message (nil removes it); the conversation goes on.
  public func setSystemMessage(_ text: String?) {
    if messages.first?.role == "system" { messages.removeFirst() }
    if let text { messages.insert(ChatMessage(role: "system", text), at: 0) }
  }

  /// Forgets every turn but the system message.
  public func reset() { messages.removeAll { $0.role != "system" } }

  /// Adds a user's turn and streams the answer, which becomes a turn too, also when it was interrupted.
  ///
  /// An error, or an interruption before the first token, leaves the conversation as it was before.
  public func respond(
    to text: String, sampling: SamplingParameters, emit: (String) throws -> Void
  ) throws -> GenerationResult {
    let before = messages
    messages.append(ChatMessage(role: "user", text))
    do {
      let promptText = try session.promptText(for: messages)
      let prompt = try tokens(of: promptText)
      let result = try session.generator.generate(from: prompt, in: sequence, sampling: sampling, emit: emit)
      if result.tokens.isEmpty {
        messages = before
      } else {
        messages.append(ChatMessage(role: "assistant", result.text))
        remember(promptText, prompt, result)
      }
      return result
    } catch {
      messages = before
      throw error
    }
  }

  /// The tokens of a rendered conversation. Where it goes on from what has run, the tokens that ran are kept: a model may
  /// spell an answer in other tokens than the tokenizer would, and its cache would be of no use.
  private func tokens(of text: String) throws -> [Int32] {
    if let past, text.utf8.starts(with: past.text.utf8) {
      let rest = try session.encode(rendered: String(text.unicodeScalars.dropFirst(past.text.unicodeScalars.count)))
      // A special token is the one place where a text may be cut without changing what comes before or after.
      if let first = rest.first, session.tokenizer.isSpecial(first) { return past.tokens + rest }
    }
    return try session.encode(rendered: text)
  }

  /// Keeps an answer whose text says all that its tokens say: without an end token, special tokens or stop texts.
  private func remember(_ promptText: String, _ prompt: [Int32], _ result: GenerationResult) {
    var answer = result.tokens
    if let last = answer.last, session.endTokens.contains(last) { answer.removeLast() }
    let isComplete = (try? session.tokenizer.decode(answer, skippingSpecialTokens: false)) == result.text
    past = isComplete ? (promptText + result.text, prompt + answer) : nil
  }
}
