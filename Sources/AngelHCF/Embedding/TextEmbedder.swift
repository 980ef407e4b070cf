public import AngelCheckpoint
public import AngelMemory
import AngelModels
public import AngelNN
public import AngelTensor
public import AngelText

/// Everything one needs to turn texts into vectors: an encoder's weights in an engine, and its tokenizer.
public final class TextEmbedder {
  public let checkpoint: Checkpoint
  public let tokenizer: Tokenizer
  public let engine: EncoderEngine

  /// Loads a checkpoint's encoder onto `backend`, whose memory comes from `pool`.
  public init(
    _ checkpoint: Checkpoint, on backend: any Backend, pool: PagePool, arithmetic: Arithmetic = .fast,
    report: @escaping @Sendable (_ bytesRead: Int, _ bytesInAll: Int) -> Void = { _, _ in }
  ) throws {
    let entry = try ModelCatalog.textEncoder(for: checkpoint)
    var model = try entry.outline(checkpoint)
    let pooling = try checkpoint.sentencePooling()
    try EncoderPlan(checkpoint, pooling, arithmetic: arithmetic).check(budget: pool.budget)
    self.checkpoint = checkpoint
    tokenizer = try Tokenizer(checkpoint.tokenizer())
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: arithmetic, report: report))
    engine = EncoderEngine(model, pooling: pooling, on: backend)
  }

  /// One vector for each text, in order. Of a text that is too long its beginning counts, as sentence-transformers has it.
  public func vectors(of texts: [String]) throws -> [[Float]] { try engine.vectors(of: texts.map(tokens)) }

  /// The tokens of a text that count, the special ones around them included.
  public func tokens(of text: String) throws -> [Int32] {
    // What is spelt like a special token in a text is text.
    let tokens = try tokenizer.encode(text, addingSpecialTokens: true, parsingSpecialTokens: false)
    guard tokens.count > engine.longest, let last = tokens.last else { return tokens }
    return tokens.prefix(engine.longest - 1) + [last]
  }
}
