import AngelCheckpoint
import AngelCore

/// Tensors and small files of a model that is being written, decided before anything is.
struct ConvertedModel {
  var architecture: String
  var tensors: [TensorSource]
  /// For a GGUF file.
  var metadata: [GGUFMetadata.Entry] = []
  /// For a folder.
  var documents: [(name: String, json: JSONValue)] = []
}

extension ConvertibleModel {
  /// What a checkpoint becomes in the plan's layout, tensor by tensor of the model.
  static func translated(_ checkpoint: Checkpoint, _ plan: ConversionPlan) throws -> ConvertedModel {
    let configuration = try Self.configuration(of: checkpoint)
    let tensors = try plan.tensors(of: Self(configuration), names: names(for: configuration), from: checkpoint)
    switch plan.layout {
    case .gguf where checkpoint.layout == .gguf: return try rewritten(checkpoint, tensors)
    case .gguf: return try gguf(configuration, tensors, checkpoint)
    case .huggingFace: return try huggingFace(configuration, tensors, checkpoint, packsLayers: plan.packsLayers)
    }
  }

  /// The same file with other tensors: what the model has no parameter for stays, and what the metadata says.
  private static func rewritten(_ checkpoint: Checkpoint, _ tensors: [TensorSource]) throws -> ConvertedModel {
    let names = Set(tensors.map(\.name))
    let others = try checkpoint.tensorNames.filter { !names.contains($0) }.map { name in
      let record = try checkpoint.tensor(name)
      return TensorSource(name: name, dtype: record.dtype, shape: record.shape, pieces: [.rows(record, order: nil)])
    }
    guard let metadata = GGUFMetadata.copied(from: checkpoint, tensors: tensors) else {
      preconditionFailure("'\(checkpoint.path)' is no GGUF file")
    }
    return ConvertedModel(architecture: checkpoint.architecture, tensors: others + tensors, metadata: metadata)
  }

  private static func gguf(
    _ configuration: Configuration, _ tensors: [TensorSource], _ checkpoint: Checkpoint
  ) throws -> ConvertedModel {
    let fields = try ggufFields(of: configuration)
    let extra = fields.tensors.map {
      TensorSource(name: $0.name, dtype: .float32, shape: [$0.values.count], pieces: [.floats($0.values)])
    }
    let metadata =
      GGUFMetadata.general(of: checkpoint, architecture: fields.architecture, tensors: tensors)
      + fields.metadata.map { (fields.architecture + "." + $0.key, $0.value) }
      + (try ggufMetadata(of: checkpoint))
      + (try GGUFMetadata.tokenizer(of: checkpoint, vocabularySize: configuration.vocabularySize))
    return ConvertedModel(architecture: fields.architecture, tensors: extra + tensors, metadata: metadata)
  }

  private static func huggingFace(
    _ configuration: Configuration, _ tensors: [TensorSource], _ checkpoint: Checkpoint, packsLayers: Bool
  ) throws -> ConvertedModel {
    var fields = try huggingFaceFields(of: configuration)
    // An encoder has no text to begin or to end.
    let writesText = Self.self is any LanguageModel.Type
    for field in try HuggingFaceFiles.tokenFields(of: checkpoint).members
    where writesText || field.key == "pad_token_id" {
      fields[field.key] = field.value
    }
    if packsLayers {
      fields[LayerPacking.configurationKey] = LayerPacking.configuration(of: tensors)
      fields.setTensorType(LayerPacking.otherType(of: tensors))
    } else {
      fields.setTensorType(tensors.first { $0.shape.rank >= 2 }?.dtype ?? .float32)
    }
    let documents = try HuggingFaceFiles.tokenizer(of: checkpoint, contextLength: configuration.contextLength)
      .filter { writesText || $0.name != HuggingFaceFiles.generationName }
    return ConvertedModel(
      architecture: fields["model_type"]?.string ?? checkpoint.architecture, tensors: tensors,
      documents: [("config.json", .object(fields))] + documents + (try Self.documents(of: checkpoint)))
  }
}

extension JSONObject {
  /// Says in config.json which type the weights have, under the name it already uses or the one all versions read.
  mutating func setTensorType(_ dtype: DType) {
    let name =
      switch dtype {
      case .float16: "float16"
      case .bfloat16: "bfloat16"
      default: "float32"
      }
    self[self["dtype"] == nil ? "torch_dtype" : "dtype"] = .string(name)
  }
}
