public import AngelCheckpoint
import AngelCore
public import AngelModels
public import AngelNN
public import AngelTensor
public import AngelText

/// A language model with its weights, and what of its files one needs to talk to it.
public struct LoadedLanguageModel {
  public let checkpoint: Checkpoint
  public let model: any LanguageModel
  public let tokenizer: Tokenizer
  /// The adapter's where it brings one. Nil when no file does: prompts are then taken as they are.
  public let chatTemplate: ChatTemplate?
  /// The tokens that end an answer.
  public let endTokens: Set<Int32>

  /// Loads a checkpoint's model onto `backend`.
  ///
  /// - Parameters:
  ///   - adapter: stands beside the weights; nil: nothing does.
  ///   - peers: those who have the other parts of each layer; nil: the model is whole.
  ///   - check: called before weights are read.
  public init(
    _ checkpoint: Checkpoint, on backend: any Backend, arithmetic: Arithmetic, adapter: PEFTFolder? = nil,
    peers: (any LayerPeers)? = nil,
    report: @escaping @Sendable (_ bytesRead: Int, _ bytesInAll: Int) -> Void = { _, _ in },
    check: () throws -> Void = {}
  ) throws {
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    // Before the weights are read: what is wrong with the request or the tokenizer shows at once, and that they fit.
    try check()
    self.checkpoint = checkpoint
    tokenizer = try Tokenizer(checkpoint.tokenizer())
    chatTemplate = try (adapter?.chatTemplate ?? checkpoint.chatTemplate).map { source throws(ChatTemplateError) in
      try ChatTemplate(source)
    }
    endTokens = checkpoint.endTokens(for: tokenizer)
    try entry.load(
      &model, checkpoint,
      LoadingOptions(backend: backend, arithmetic: arithmetic, adapter: adapter, peers: peers, report: report))
    self.model = model
  }
}
