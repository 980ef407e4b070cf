public import AngelHCF
public import AngelText

/// A model that a server offers: what is known of it before it is loaded, and how to load it.
public struct ServedModel: Sendable {
  /// What requests call it.
  public let name: String
  /// Seconds since 1970, as `/v1/models` tells.
  public let created: Int
  /// Where its files lie; nil where that is not known.
  public let path: String?
  /// What its files say; nil where nothing is known.
  public let facts: ModelFacts?
  /// Looks at its files; called each time it is to be loaded.
  public let open: @Sendable () throws -> OpenedModel

  public init(
    name: String, created: Int, path: String? = nil, facts: ModelFacts? = nil,
    open: @escaping @Sendable () throws -> OpenedModel
  ) {
    self.name = name
    self.created = created
    self.path = path
    self.facts = facts
    self.open = open
  }
}

/// What a model's files say of it, known before it is loaded.
public struct ModelFacts: Sendable, Equatable {
  /// `gguf` or `safetensors`.
  public var format: String
  /// The architecture, such as `llama`.
  public var family: String
  public var parameterCount: Int
  /// The type that most of its bytes are of, such as `Q4_0` or `BF16`.
  public var quantization: String
  /// Bytes of its tensors.
  public var byteCount: Int
  public var chatTemplate: String?
  /// Whether it makes vectors instead of text.
  public var isEncoder: Bool
  /// The longest sequence it was made for, and the width of its residual stream; nil: its files do not say.
  public var contextLength: Int?
  public var embeddingLength: Int?
  /// SHA-256 of its largest file as it was pulled, 64 hexadecimal digits; nil: it was not.
  public var digest: String?

  public init(
    format: String, family: String, parameterCount: Int, quantization: String, byteCount: Int, chatTemplate: String?,
    isEncoder: Bool, contextLength: Int? = nil, embeddingLength: Int? = nil, digest: String? = nil
  ) {
    self.format = format
    self.family = family
    self.parameterCount = parameterCount
    self.quantization = quantization
    self.byteCount = byteCount
    self.chatTemplate = chatTemplate
    self.isEncoder = isEncoder
    self.contextLength = contextLength
    self.embeddingLength = embeddingLength
    self.digest = digest
  }
}

/// A model whose files have been looked at.
public struct OpenedModel {
  /// What it takes of the memory budget while it is loaded.
  public let byteCount: Int
  public let load: () throws -> LoadedModel

  public init(byteCount: Int, load: @escaping () throws -> LoadedModel) {
    self.byteCount = byteCount
    self.load = load
  }
}

/// A model that can answer.
public enum LoadedModel: Sendable {
  case language(any ServingEngine)
  case encoder(any EmbeddingEngine)

  /// The most tokens of a request.
  var contextLength: Int {
    switch self {
    case .language(let engine): engine.contextLength
    case .encoder(let engine): engine.longest
    }
  }

  var vocabularySize: Int {
    switch self {
    case .language(let engine): engine.vocabularySize
    case .encoder(let engine): engine.vocabularySize
    }
  }

  var tokenizer: Tokenizer {
    switch self {
    case .language(let engine): engine.tokenizer
    case .encoder(let engine): engine.tokenizer
    }
  }

  /// The tokens of a text, with the special tokens that the model wants around it.
  func tokens(of text: String) throws -> [Int32] {
    switch self {
    case .language(let engine):
      try engine.tokenizer.encode(text, addingSpecialTokens: true, parsingSpecialTokens: true)
    // What is spelt like a special token in a text is text.
    case .encoder(let engine):
      try engine.tokenizer.encode(text, addingSpecialTokens: true, parsingSpecialTokens: false)
    }
  }
}

/// What a server needs of an encoder. The methods may be called on any thread and do not block on the model's work.
public protocol EmbeddingEngine: AnyObject, Sendable {
  var tokenizer: Tokenizer { get }
  /// The most tokens of a text, special ones included.
  var longest: Int { get }
  /// The size of a vector.
  var width: Int { get }
  var vocabularySize: Int { get }

  /// One vector for each text, in order. Throws `ServingRefusal`; then `onResult` is never called. Cancelling the ticket
  /// ends the work with `Interrupted` before its next step.
  func embed(_ texts: [[Int32]], onResult: @escaping @Sendable (Result<[[Float]], any Error>) -> Void) throws
    -> ServingTicket

  /// Refuses new texts from now on and calls back when those in hand have ended.
  func drain(onEnd: @escaping @Sendable () -> Void)
}
