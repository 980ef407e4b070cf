import AngelCore
public import AngelText

/// A conversation whose keys and values stay cached between turns: only what is new runs.
public final class ChatSession {
  /// The turns so far, a system message first where there is one.
  public private(set) var messages: [ChatMessage] = []
  private let session: LanguageModelSession
  private var sequence: CachedSequence

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

  /// Tokens whose keys and values are cached.
  public var cachedTokenCount: Int { sequence.count }

  /// Adds a user's turn and streams the answer, which becomes a turn too, also when it was interrupted.
  ///
  /// An error leaves the conversation as it was before.
  public func respond(
    to text: String, sampling: SamplingParameters, emit: (String) throws -> Void
  ) throws -> GenerationResult {
    let before = messages
    messages.append(ChatMessage(role: "user", text))
    do {
      let prompt = try session.promptTokens(for: messages)
      let result = try session.generator.generate(from: prompt, in: sequence, sampling: sampling, emit: emit)
      messages.append(ChatMessage(role: "assistant", result.text))
      return result
    } catch {
      messages = before
      throw error
    }
  }
}
