public import AngelCheckpoint
public import AngelCore
public import AngelModels
import AngelNN
import AngelTensor
public import AngelText

/// Writes a trained model as a Hugging Face folder that other programs, and angel, load.
public struct ModelFolder {
  /// Where tokenizer, chat template and token roles come from.
  public enum Origin {
    /// The files of the model that training began from.
    case checkpoint(Checkpoint)
    /// A model that was made here.
    case tokenizer(TokenizerDescription)
  }

  private let origin: Origin
  private let dtype: DType
  private let chatTemplate: String?

  /// - Parameters:
  ///   - dtype: of matrices: float32, float16 or bfloat16. Vectors have the same.
  ///   - chatTemplate: stands in for that of `origin`; nil: that one stays.
  public init(_ origin: Origin, dtype: DType = .float32, chatTemplate: String? = nil) {
    self.origin = origin
    self.dtype = dtype
    self.chatTemplate = chatTemplate
  }

  /// Writes `model` to the folder at `path`, whole or not at all.
  public func write(_ model: any LanguageModel, to path: String) throws {
    guard let model = model as? any ConvertibleLanguageModel else {
      throw PTMError.recipe("models of this family cannot be written as a folder yet")
    }
    try write(convertible: model, to: path)
  }

  private func write<Model: ConvertibleLanguageModel>(convertible model: Model, to path: String) throws {
    let writer = try ModelFolderWriter(path: path)
    for document in try documents(model) { try writer.write(document.json, as: document.name) }
    if case .checkpoint(let checkpoint) = origin, checkpoint.layout == .huggingFace {
      try writer.copySmallFiles(of: checkpoint)
    }
    if let chatTemplate { try writer.write(chatTemplate, as: HuggingFaceFiles.chatTemplateName) }
    let stored = try Self.stored(model)
    let sources = stored.map { TensorSource(name: $0.key, dtype: dtype, shape: $0.value.shape, pieces: []) }
    try writer.writeTensors(sources.sorted { $0.name < $1.name }, shardBytes: 5_000_000_000) { source, write in
      try stored[source.name]?.write(as: dtype, write)
    }
    try writer.finish()
  }

  private func documents<Model: ConvertibleLanguageModel>(
    _ model: Model
  ) throws -> [(name: String, json: JSONValue)] {
    var fields = try Model.huggingFaceFields(of: model.configuration)
    fields["torch_dtype"] = .string(dtype == .bfloat16 ? "bfloat16" : dtype == .float16 ? "float16" : "float32")
    switch origin {
    case .checkpoint(let checkpoint):
      if checkpoint.layout == .huggingFace {
        for member in checkpoint.configuration.members where fields[member.key] == nil {
          fields[member.key] = member.value
        }
        return [("config.json", .object(fields))]
      }
      for field in try HuggingFaceFiles.tokenFields(of: checkpoint).members { fields[field.key] = field.value }
      return [("config.json", .object(fields))]
        + (try HuggingFaceFiles.tokenizer(of: checkpoint, contextLength: model.configuration.contextLength))
    case .tokenizer(let description):
      // A key that is absent would mean the family's own ids, which lie outside of most new vocabularies.
      fields["bos_token_id"] = description.beginToken.map { .integer(Int($0)) } ?? .null
      fields["eos_token_id"] = description.endToken.map { .integer(Int($0)) } ?? .null
      return [("config.json", .object(fields))]
        + (try HuggingFaceFiles.tokenizer(description, contextLength: model.configuration.contextLength))
    }
  }

  private static func stored<Model: ConvertibleLanguageModel>(_ model: Model) throws -> [String: StoredTensor] {
    let names = Model.names(for: model.configuration)
    var result: [String: StoredTensor] = [:]
    for (path, parameter) in model.parameterShapes() {
      guard let place = names.tensor(forParameter: path, in: .huggingFace) else {
        throw PTMError.recipe(
          "the parameter '\(path)' has no name in Hugging Face files; merge or export adapters first")
      }
      result[place.name, default: StoredTensor(place.form)].add(parameter, as: place.form)
    }
    return result
  }
}
