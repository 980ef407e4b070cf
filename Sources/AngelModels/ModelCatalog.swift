public import AngelCheckpoint
public import AngelCore
public import AngelNN
public import AngelTensor

/// Every architecture, one line each.
public enum ModelCatalog {
  /// Language models by the architecture name that checkpoints carry.
  public static let languageModels: [String: LanguageModelEntry] = [
    "gemma2": .init(Gemma2Model.self),
    "gemma3_text": .init(Gemma3Model.self),
    "glm4": .init(GLM4Model.self),
    "gpt2": .init(GPT2Model.self),
    "hunyuan_v1_dense": .init(HunyuanDenseModel.self),
    "hunyuan_v1_moe": .init(HunyuanMoEModel.self),
    "llama": .init(LlamaModel.self),
    "mistral": .init(MistralModel.self),
    "mixtral": .init(MixtralModel.self),
    "olmo2": .init(Olmo2Model.self),
    "phi3": .init(Phi3Model.self),
    "qwen2": .init(Qwen2Model.self),
    "qwen3": .init(Qwen3Model.self),
    "qwen3_moe": .init(Qwen3MoEModel.self),
    "smollm3": .init(SmolLM3Model.self),
  ]

  /// Architectures that GGUF files call by another name than Hugging Face folders.
  static let ggufNames = [
    "gemma3": "gemma3_text", "hunyuan-dense": "hunyuan_v1_dense", "hunyuan-moe": "hunyuan_v1_moe",
    "qwen3moe": "qwen3_moe",
  ]

  /// Text encoders by the architecture name that checkpoints carry.
  public static let textEncoders: [String: TextEncoderEntry] = [
    "bert": .init(BertModel.self)
  ]

  /// The entry for a checkpoint's architecture.
  public static func languageModel(for checkpoint: Checkpoint) throws(ModelError) -> LanguageModelEntry {
    guard let entry = languageModels[family(of: checkpoint)] else {
      let name = checkpoint.architecture
      guard textEncoders[name] == nil else { throw .encodes(name, path: checkpoint.path) }
      throw .unknownArchitecture(
        checkpoint.architecture, path: checkpoint.path, known: languageModels.keys.sorted())
    }
    return entry
  }

  /// What a checkpoint of any family becomes in the plan's layout.
  static func translation(of checkpoint: Checkpoint, _ plan: ConversionPlan) throws -> ConvertedModel {
    if let encoder = textEncoders[checkpoint.architecture] { return try encoder.translate(checkpoint, plan) }
    return try languageModel(for: checkpoint).translate(checkpoint, plan)
  }

  /// The encoder's entry for a checkpoint's architecture.
  public static func textEncoder(for checkpoint: Checkpoint) throws(ModelError) -> TextEncoderEntry {
    guard let entry = textEncoders[checkpoint.architecture] else {
      throw .doesNotEncode(checkpoint.architecture, path: checkpoint.path, known: textEncoders.keys.sorted())
    }
    return entry
  }

  /// The name of a checkpoint's family here. In GGUF files Mistral and Mixtral call themselves llama, from which only a window
  /// and experts tell them apart.
  private static func family(of checkpoint: Checkpoint) -> String {
    let name = checkpoint.architecture
    guard checkpoint.layout == .gguf else { return name }
    if name == "llama", checkpoint.configuration["llama.expert_count"]?.integer ?? 0 > 0 { return "mixtral" }
    if name == "llama", checkpoint.configuration["llama.attention.sliding_window"] != nil { return "mistral" }
    return ggufNames[name] ?? name
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
      var sharedOut: (axes: [String: Int], peers: any LayerPeers)?
      if let peers = options.peers {
        try own.checkSharing(among: peers, checkpoint, adapter: options.adapter)
        sharedOut = (own.shareOut(Model.parallelPlan, among: peers), peers)
      }
      let loader = ParameterLoader(
        checkpoint, names: Model.names(for: own.configuration), on: options.backend, arithmetic: options.arithmetic,
        sharedOut: sharedOut, report: options.report)
      try loader.load(into: &own)
      try options.adapter?.attach(to: &own, for: .serving, on: options.backend)
      model = own
    }
    translate = { try Self.translated(Model.self, $0, $1) }
  }

  fileprivate static func translated(
    _ family: Any.Type, _ checkpoint: Checkpoint, _ plan: ConversionPlan
  ) throws -> ConvertedModel {
    guard let family = family as? any ConvertibleModel.Type else {
      throw ConversionError("models of architecture '\(checkpoint.architecture)' cannot be converted yet")
    }
    return try family.translated(checkpoint, plan)
  }
}

/// How an encoder's family is made from a checkpoint.
public struct TextEncoderEntry: Sendable {
  /// Makes the encoder without values.
  public let outline: @Sendable (Checkpoint) throws -> any TextEncoder
  /// Fills an encoder of this family from the checkpoint.
  public let load: @Sendable (inout any TextEncoder, Checkpoint, LoadingOptions) throws -> Void
  /// What the checkpoint becomes in the plan's layout.
  let translate: @Sendable (Checkpoint, ConversionPlan) throws -> ConvertedModel

  init<Model: TextEncoder>(_ type: Model.Type) {
    outline = { Model(try Model.configuration(of: $0)) }
    load = { model, checkpoint, options in
      guard var own = model as? Model else { preconditionFailure("\(Model.self) was given a \(Swift.type(of: model))") }
      let loader = ParameterLoader(
        checkpoint, names: Model.names(for: own.configuration), on: options.backend, arithmetic: options.arithmetic,
        report: options.report)
      try loader.load(into: &own)
      model = own
    }
    translate = { try LanguageModelEntry.translated(Model.self, $0, $1) }
  }
}

/// Where and how a model's weights are loaded.
public struct LoadingOptions: Sendable {
  public var backend: any Backend
  public var arithmetic: Arithmetic
  /// Stands beside the weights of a language model, which stay as they are held; nil: nothing does.
  public var adapter: PEFTFolder?
  /// Those that share a language model's layers out, of which this process then loads its part; nil: it is loaded whole.
  public var peers: (any LayerPeers)?
  /// Called with the bytes read so far and in all.
  public var report: @Sendable (Int, Int) -> Void

  public init(
    backend: any Backend, arithmetic: Arithmetic = .fast, adapter: PEFTFolder? = nil,
    peers: (any LayerPeers)? = nil,
    report: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
  ) {
    self.backend = backend
    self.arithmetic = arithmetic
    self.adapter = adapter
    self.peers = peers
    self.report = report
  }
}

/// Why a checkpoint's model cannot be built.
public enum ModelError: DescribedError, Equatable {
  case unknownArchitecture(String, path: String, known: [String])
  /// An encoder where a language model is needed.
  case encodes(String, path: String)
  case doesNotEncode(String, path: String, known: [String])
  case invalid(field: String, value: String, rule: String, path: String)
  /// A model whose layers cannot be shared out over as many processes as were started.
  case notShared(path: String, reason: String)
  /// An adapter that cannot be used, or not with this model.
  case adapter(path: String, reason: String)

  public var description: String {
    switch self {
    case .unknownArchitecture(let name, let path, let known):
      "'\(path)' holds a model of architecture '\(name)', which is not supported; supported: "
        + known.joined(separator: ", ")
    case .encodes(let name, let path):
      "'\(path)' holds an encoder (\(name)), which makes vectors of texts and writes none: use `angel embed`"
    case .doesNotEncode(let name, let path, let known):
      "'\(path)' holds a model of architecture '\(name)', which makes no vectors of texts; encoders: "
        + known.joined(separator: ", ")
    case .notShared(let path, let reason):
      "'\(path)' cannot run on these processes together: \(reason); start another number of them, or one"
    case .adapter(let path, let reason): "adapter '\(path)': \(reason)"
    case .invalid(let field, let value, let rule, let path): "'\(path)': \(field) is \(value), but \(rule)"
    }
  }
}
