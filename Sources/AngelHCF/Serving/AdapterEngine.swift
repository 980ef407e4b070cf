public import AngelText

/// A serving engine whose model can have adapters beside it, each under a name that requests may give. The methods may be
/// called on any thread and do not block on the model's work.
public protocol AdapterEngine: ServingEngine {
  /// Reads the adapter in a PEFT folder and puts it beside the model.
  ///
  /// - Parameter onEnd: called on the engine's own thread once it is there, or with why it is not.
  /// - Throws: what is wrong with the folder; then `onEnd` is never called.
  func load(adapter name: String, from path: String, onEnd: @escaping @Sendable (Result<Void, any Error>) -> Void)
    throws

  /// Refuses an adapter to new requests, and takes it out once those that have it have ended.
  ///
  /// - Throws: `EngineError.adapterMissing`; then `onEnd` is never called.
  func unload(adapter name: String, onEnd: @escaping @Sendable () -> Void) throws

  /// What writes the turns of a conversation for an adapter; nil when neither it nor the model brings one.
  func chatTemplate(for adapter: String) -> ChatTemplate?

  /// As `embed`, with an adapter.
  func embed(
    _ tokens: [Int32], adapter: String?, onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void
  ) throws -> ServingTicket
}

/// An engine as those see it who ask for one of its adapters.
public final class AdaptedEngine: ServingEngine {
  private let engine: any AdapterEngine
  private let adapter: String

  public init(_ engine: any AdapterEngine, adapter: String) {
    self.engine = engine
    self.adapter = adapter
  }

  public var contextLength: Int { engine.contextLength }
  public var vocabularySize: Int { engine.vocabularySize }
  public var tokenizer: Tokenizer { engine.tokenizer }
  public var chatTemplate: ChatTemplate? { engine.chatTemplate(for: adapter) }
  public var constraints: ConstraintCompiler { engine.constraints }

  public func submit(_ request: ServingRequest, onEvent: @escaping @Sendable (ServingEvent) -> Void) throws
    -> ServingTicket
  {
    var request = request
    request.adapter = adapter
    return try engine.submit(request, onEvent: onEvent)
  }

  public func embed(_ tokens: [Int32], onResult: @escaping @Sendable (Result<[Float], any Error>) -> Void) throws
    -> ServingTicket
  {
    try engine.embed(tokens, adapter: adapter, onResult: onResult)
  }

  public var statistics: ServingStatistics { engine.statistics }

  public func drain(onEnd: @escaping @Sendable () -> Void) { engine.drain(onEnd: onEnd) }
}
