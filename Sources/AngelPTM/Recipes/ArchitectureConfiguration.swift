public import AngelCore
public import AngelModels

/// A model that is trained from nothing: its family and its sizes.
public struct ArchitectureConfiguration: Configurable, Hashable {
  /// Families that can be begun from nothing.
  public enum Family: String, ConfigurationChoice { case llama, gpt2, qwen3 }

  public var family = Family.llama
  public var layers = 6
  public var width = 288
  public var heads = 6
  /// Key-value heads; nothing: as many as heads.
  public var keyValueHeads: Int?
  /// Width inside the feed-forward layer; nothing: 4 times the width for gpt2, 8/3 of it in multiples of 32 otherwise.
  public var inner: Int?
  /// The longest sequence; nothing: the recipe's sequence_length.
  public var context: Int?
  /// Whether the embedding is the output head too.
  public var tiesEmbeddings = true

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("family", \.family, "llama, gpt2 or qwen3"),
    .value("layers", \.layers, in: 1...1024, "decoder blocks"),
    .value("width", \.width, in: 1...65_536, "width of the residual stream"),
    .value("heads", \.heads, in: 1...1024, "query heads"),
    .value("key_value_heads", \.keyValueHeads, in: 1...1024, "key-value heads; null: as many as heads"),
    .value("inner", \.inner, in: 1...1_048_576, "width inside the feed-forward layer; null: the family's custom"),
    .value("context", \.context, in: 1...1_048_576, "the longest sequence; null: sequence_length"),
    .value("tie_embeddings", \.tiesEmbeddings, "whether the embedding is the output head too"),
  ]

  public func problems() -> [String] {
    var problems: [String] = []
    if width % heads != 0 || width / heads % 2 != 0 {
      problems.append("architecture.width is \(width), which \(heads) heads do not share in even sizes")
    }
    if let keyValueHeads, heads % keyValueHeads != 0 {
      problems.append("architecture.heads is \(heads), which is no multiple of \(keyValueHeads) key-value heads")
    }
    return problems
  }

  /// The model, without values.
  public func makeModel(vocabularySize: Int, sequenceLength: Int) -> any LanguageModel {
    switch family {
    case .llama: LlamaModel(llama(vocabularySize, context ?? sequenceLength))
    case .gpt2: GPT2Model(gpt2(vocabularySize, context ?? sequenceLength))
    case .qwen3: Qwen3Model(qwen3(vocabularySize, context ?? sequenceLength))
    }
  }

  private var gatedInner: Int { inner ?? (width * 8 / 3 + 31) / 32 * 32 }

  private func llama(_ vocabularySize: Int, _ context: Int) -> LlamaConfiguration {
    var result = LlamaConfiguration()
    result.vocabularySize = vocabularySize
    result.hiddenSize = width
    result.layerCount = layers
    result.headCount = heads
    result.keyValueHeadCount = keyValueHeads ?? heads
    result.headSize = width / heads
    result.innerSize = gatedInner
    result.contextLength = context
    result.normEpsilon = 1e-5
    result.tiesEmbeddings = tiesEmbeddings
    return result
  }

  private func qwen3(_ vocabularySize: Int, _ context: Int) -> Qwen3Configuration {
    var result = Qwen3Configuration()
    result.vocabularySize = vocabularySize
    result.hiddenSize = width
    result.layerCount = layers
    result.headCount = heads
    result.keyValueHeadCount = keyValueHeads ?? heads
    result.headSize = width / heads
    result.innerSize = gatedInner
    result.contextLength = context
    result.tiesEmbeddings = tiesEmbeddings
    return result
  }

  private func gpt2(_ vocabularySize: Int, _ context: Int) -> GPT2Configuration {
    var result = GPT2Configuration()
    result.vocabularySize = vocabularySize
    result.hiddenSize = width
    result.layerCount = layers
    result.headCount = heads
    result.innerSize = inner ?? 4 * width
    result.contextLength = context
    return result
  }
}
