public import AngelCheckpoint
public import AngelCore
public import AngelMemory
public import AngelModels
public import AngelNN
public import AngelTensor
public import AngelText

/// Everything one needs to talk to a model: its weights in an engine, its tokenizer, its chat template.
public final class LanguageModelSession {
  public let checkpoint: Checkpoint
  public let tokenizer: Tokenizer
  /// Nil when the files bring none: prompts are then taken as they are.
  public let chatTemplate: ChatTemplate?
  public let engine: InferenceEngine
  public var generator: TextGenerator
  /// Constraints for answers in this model's tokens.
  public let constraints: ConstraintCompiler
  private let plan: ModelPlan
  /// The tokens that end an answer.
  public let endTokens: Set<Int32>

  /// Loads a checkpoint's model onto `backend`, its cache from `pool`.
  ///
  /// - Parameters:
  ///   - adapter: stands beside the weights, which are held as without it; nil: nothing does.
  ///   - other: has a plan of its own for the same pool; nil: the budget is this session's alone.
  public init(
    _ checkpoint: Checkpoint, on backend: any Backend, pool: PagePool, arithmetic: Arithmetic = .fast,
    adapter: PEFTFolder? = nil, options: EngineOptions = .init(), beside other: LanguageModelSession? = nil,
    report: @escaping @Sendable (_ bytesRead: Int, _ bytesInAll: Int) -> Void = { _, _ in }
  ) throws {
    let plan = try ModelPlan(checkpoint, arithmetic: arithmetic, adapter: adapter, options: options)
    let loaded = try LoadedLanguageModel(
      checkpoint, on: backend, arithmetic: arithmetic, adapter: adapter, peers: options.peers, report: report
    ) {
      try plan.check(budget: pool.budget - (other?.plan.totalBytes ?? 0))
    }
    self.plan = plan
    self.checkpoint = checkpoint
    tokenizer = loaded.tokenizer
    chatTemplate = loaded.chatTemplate
    endTokens = loaded.endTokens
    engine = try InferenceEngine(loaded.model, on: backend, pool: pool, options: options)
    constraints = ConstraintCompiler(tokenizer, endTokens: endTokens)
    generator = TextGenerator(engine, tokenizer: tokenizer, endTokens: endTokens)
  }

  /// The tokens of a conversation, ready for the assistant's next turn.
  public func promptTokens(for messages: [ChatMessage]) throws -> [Int32] {
    try encode(rendered: promptText(for: messages))
  }

  /// A conversation as the model's chat template writes it, ready for the assistant's next turn.
  func promptText(for messages: [ChatMessage]) throws -> String {
    guard let chatTemplate else { throw SessionError.noChatTemplate(path: checkpoint.path) }
    return try chatTemplate.render(
      messages: messages, tools: nil, addsGenerationPrompt: true, beginToken: try spelling(tokenizer.beginToken),
      endToken: try spelling(tokenizer.endToken))
  }

  /// The tokens of what a template wrote, the special tokens included.
  func encode(rendered text: String) throws -> [Int32] {
    try tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: true)
  }

  /// The tokens of a plain text, with the special tokens the model begins a text with.
  public func promptTokens(for text: String) throws -> [Int32] {
    try tokenizer.encode(text, addingSpecialTokens: true, parsingSpecialTokens: true)
  }

  /// A special token's text; added tokens may have ids beyond the model's own.
  private func spelling(_ token: Int32?) throws(TokenizerError) -> String {
    guard let token else { return "" }
    return String(decoding: try tokenizer.bytes(of: token), as: UTF8.self)
  }
}

/// Why a session cannot do what was asked.
public enum SessionError: DescribedError, Equatable {
  case noChatTemplate(path: String)

  public var description: String {
    switch self {
    case .noChatTemplate(let path):
      "'\(path)' has no chat template: use `angel generate` with the prompt as the model expects it"
    }
  }
}
