public import AngelCore

/// A model on disk, whatever its format: configuration, tensors, tokenizer and chat template.
///
/// Opening reads and checks headers only, and of weights that others have quantised the scales, zeros and groups, which
/// decide what they are held in; tensors stay in the mapped files until they are touched.
public struct Checkpoint: Sendable {
  /// How the files are laid out.
  public enum Layout: Sendable, Hashable {
    /// One GGUF file, or the parts of a split one.
    case gguf
    /// A Hugging Face folder: `config.json` and safetensors.
    case huggingFace
  }

  /// The path that was opened.
  public let path: String
  public let layout: Layout
  /// The architecture's name, such as `llama` or `qwen3`: `general.architecture`, or `model_type`.
  public let architecture: String
  /// `config.json`; or GGUF metadata under its full keys (`llama.block_count`), with arrays of up to 4,096 values.
  public let configuration: JSONObject
  /// `generation_config.json`, where there is one.
  public let generation: JSONObject?
  /// The tensors that can be computed with.
  public let tensors: [String: TensorRecord]
  /// The names of `tensors` in the order of the files.
  public let tensorNames: [String]
  /// The names and types of tensors in types this version cannot compute with; asking for one throws.
  public let unsupportedTensors: [String: String]
  /// The Jinja template that turns messages into a prompt.
  public let chatTemplate: String?
  /// What the files say about the model.
  public let card: ModelCard
  let tokenizerSource: TokenizerSource

  /// Where the tokenizer is to be read from.
  enum TokenizerSource: Sendable {
    case gguf(GGUFHeader, path: String)
    case folder(String)
  }

  /// The tensor called `name`; throws when there is none or its type is not supported.
  public func tensor(_ name: String) throws(CheckpointError) -> TensorRecord {
    if let record = tensors[name] { return record }
    if let type = unsupportedTensors[name] {
      let supported =
        layout == .gguf ? GGMLType.supportedNames : SafetensorsTensor.supportedTypes.map(\.name)
      throw .unsupportedTensor(name: name, type: type, path: path, supported: supported)
    }
    throw .missingTensor(name: name, path: path, similar: namesSimilar(to: name))
  }

  /// Up to three names with the same ending or the same beginning.
  private func namesSimilar(to name: String) -> [String] {
    let ending = name.split(separator: ".").suffix(2).joined(separator: ".")
    let beginning = name.prefix { $0 != "." }
    let matches = tensorNames.filter { $0.hasSuffix(ending) } + tensorNames.filter { $0.hasPrefix(beginning) }
    return Array(matches.prefix(3))
  }
}

/// What a model's files say about it, for tables and listings.
public struct ModelCard: Sendable, Hashable {
  public var name: String?
  public var license: String?
  public var summary: String?
  /// The number of elements of all tensors, those of unsupported types included.
  public var parameterCount = 0
  /// Bytes in the files by the type's name, most first.
  public var byteCounts: [TypeBytes] = []
  /// How the weights were quantised by another program; nil where they were not.
  public var quantization: QuantizedWeights?

  /// How many bytes of a model are of one type.
  public struct TypeBytes: Sendable, Hashable {
    public var type: String
    public var tensors: Int
    public var bytes: Int
  }

  /// The bytes of all tensors together.
  public var byteCount: Int { byteCounts.reduce(0) { $0 + $1.bytes } }
}
