public import AngelCheckpoint
public import AngelCore
public import AngelNN
public import AngelTensor

/// Every architecture, one line each.
public enum ModelCatalog {
  /// Language models by the architecture name that checkpoints carry.
  public static let languageModels: [String: LanguageModelEntry] = [
    "llama": .init(LlamaModel.self),
    "qwen3": .init(Qwen3Model.self),
  ]

  /// The entry for a checkpoint's architecture.
  public static func languageModel(for checkpoint: Checkpoint) throws(ModelError) -> LanguageModelEntry {
    guard let entry = languageModels[checkpoint.architecture] else {
      throw .unknownArchitecture(
        checkpoint.architecture, path: checkpoint.path, known: languageModels.keys.sorted())
    }
    return entry
  }
}

/// How a model family is made from a checkpoint.
public struct LanguageModelEntry: Sendable {
  /// Makes the model without values: enough for its configuration, shapes and memory plan.
  public let outline: @Sendable (Checkpoint) throws -> any LanguageModel
  /// Fills a model of this family from the checkpoint.
  public let load: @Sendable (inout any LanguageModel, Checkpoint, LoadingOptions) throws -> Void
  /// What the checkpoint becomes in the plan's layout.
  let translate: @Sendable (Checkpoint, ConversionPlan) throws -> ConvertedModel

  init<Model: LanguageModel>(_ type: Model.Type) {
    outline = { Model(try Model.configuration(of: $0)) }
    load = { model, checkpoint, options in
      guard var own = model as? Model else { preconditionFailure("\(Model.self) was given a \(Swift.type(of: model))") }
      let loader = ParameterLoader(
        checkpoint, names: Model.names(for: own.configuration), on: options.backend, arithmetic: options.arithmetic,
        report: options.report)
      try loader.load(into: &own)
      model = own
    }
    translate = { checkpoint, plan in
      guard let family = Model.self as? any ConvertibleLanguageModel.Type else {
        throw ConversionError("models of architecture '\(checkpoint.architecture)' cannot be converted yet")
      }
      return try family.translated(checkpoint, plan)
    }
  }
}

/// Where and how a model's weights are loaded.
public struct LoadingOptions: Sendable {
  public var backend: any Backend
  public var arithmetic: Arithmetic
  /// Called with the bytes read so far and in all.
  public var report: @Sendable (Int, Int) -> Void

  public init(
    backend: any Backend, arithmetic: Arithmetic = .fast, report: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
  ) {
    self.backend = backend
    self.arithmetic = arithmetic
    self.report = report
  }
}

/// Why a checkpoint's model cannot be built.
public enum ModelError: DescribedError, Equatable {
  case unknownArchitecture(String, path: String, known: [String])
  case invalid(field: String, value: String, rule: String, path: String)

  public var description: String {
    switch self {
    case .unknownArchitecture(let name, let path, let known):
      "'\(path)' holds a model of architecture '\(name)', which is not supported; supported: "
        + known.joined(separator: ", ")
    case .invalid(let field, let value, let rule, let path): "'\(path)': \(field) is \(value), but \(rule)"
    }
  }
}
