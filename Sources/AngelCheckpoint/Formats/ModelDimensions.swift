import AngelCore

/// The sizes a model's files state, for tables: read for every architecture, also those that cannot be run.
///
/// Nothing is computed from them, so a value that is missing or senseless is simply absent.
public struct ModelDimensions: Sendable, Hashable {
  /// The longest sequence the model was made for.
  public var contextLength: Int?
  public var vocabularySize: Int?
  /// Width of the residual stream.
  public var hiddenSize: Int?
  public var layerCount: Int?
  public var headCount: Int?
  /// Fewer than `headCount` where groups of query heads share one.
  public var keyValueHeadCount: Int?
  /// Width inside the feed-forward layer.
  public var innerSize: Int?
}

extension Checkpoint {
  /// The sizes in `config.json` (those of the text part where there are several) or in the GGUF metadata.
  public var dimensions: ModelDimensions {
    switch layout {
    case .gguf: ggufDimensions
    case .huggingFace: huggingFaceDimensions
    }
  }

  private var ggufDimensions: ModelDimensions {
    // Some architectures give one value a layer.
    func size(_ key: String) -> Int? {
      let value = configuration[architecture + "." + key]
      return Self.positive(value?.array?.first ?? value)
    }
    let embedding = tensors["token_embd.weight"]?.shape
    return ModelDimensions(
      contextLength: size("context_length"),
      vocabularySize: embedding.flatMap { $0.rank == 2 ? $0[0] : nil } ?? size("vocab_size"),
      hiddenSize: size("embedding_length"), layerCount: size("block_count"), headCount: size("attention.head_count"),
      keyValueHeadCount: size("attention.head_count_kv"), innerSize: size("feed_forward_length"))
  }

  private var huggingFaceDimensions: ModelDimensions {
    let fields = configuration["text_config"]?.object ?? configuration
    /// The size under its usual name, or under GPT-2's.
    func size(_ key: String, _ older: String? = nil) -> Int? {
      Self.positive(fields[key]) ?? older.flatMap { Self.positive(fields[$0]) }
    }
    return ModelDimensions(
      contextLength: size("max_position_embeddings", "n_positions"), vocabularySize: size("vocab_size"),
      hiddenSize: size("hidden_size", "n_embd"), layerCount: size("num_hidden_layers", "n_layer"),
      headCount: size("num_attention_heads", "n_head"), keyValueHeadCount: size("num_key_value_heads"),
      innerSize: size("intermediate_size", "n_inner"))
  }

  private static func positive(_ value: JSONValue?) -> Int? { value?.integer.flatMap { $0 > 0 ? $0 : nil } }
}
