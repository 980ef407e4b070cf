import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelServer

/// The models on a command line, each ready to be loaded when it is asked for, and the adapters beside the first.
struct ServedModels {
  let all: [ServedModel]
  let adapters: [ServedAdapter]

  /// Finds the models; none is read yet.
  ///
  /// - Parameter budget: bytes for all of them together.
  init(_ arguments: Arguments, budget: Int, _ context: CommandContext) throws {
    let found = try arguments.positionals.map { try context.store.resolve($0) }
    let adapters = try Self.adapters(arguments, base: found[0].name, context)
    if arguments.has(ServeCommand.adapterLimit), adapters.isEmpty, !arguments[ServeCommand.adapterLoading] {
      throw UsageError("--max-adapters goes with --adapter or --adapter-loading", command: ServeCommand.name)
    }
    let names = found.map(\.name) + adapters.map(\.name)
    if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw UsageError("two models or adapters are called '\(twice)'", command: ServeCommand.name)
    }
    var options = try Self.options(arguments, context)
    all = try found.enumerated().map { index, model in
      options.adapterLimit = try Self.adapterLimit(arguments, given: index == 0 ? adapters.count : 0)
      options.adapterBytes = index == 0 ? Self.bytes(of: adapters) : 0
      return ServedModel(
        name: model.name, created: context.startTime, path: model.path, facts: Self.facts(model),
        open: Loader(
          path: model.path, name: model.name, sharesMemory: found.count > 1, arithmetic: context.arithmetic,
          options: options, backend: context.backendSettings(arguments), budget: budget, progress: context.progress
        ).open)
    }
    self.adapters = adapters
  }

  /// What a model's files say of it; nil where they cannot be read, which is told when it is loaded.
  private static func facts(_ model: ModelStore.ResolvedModel) -> ModelFacts? {
    guard let checkpoint = try? Checkpoint.open(model.path) else { return nil }
    let card = checkpoint.card
    return ModelFacts(
      format: checkpoint.layout == .gguf ? "gguf" : "safetensors", family: checkpoint.architecture,
      parameterCount: card.parameterCount, quantization: (card.byteCounts.first?.type ?? "").uppercased(),
      byteCount: card.byteCount, chatTemplate: checkpoint.chatTemplate,
      isEncoder: (try? ModelCatalog.textEncoder(for: checkpoint)) != nil,
      contextLength: checkpoint.dimensions.contextLength, embeddingLength: checkpoint.dimensions.hiddenSize,
      digest: model.manifest?.files.max { $0.size < $1.size }?.sha256)
  }

  private static func options(_ arguments: Arguments, _ context: CommandContext) throws -> ServingOptions {
    var options = ServingOptions()
    options.engine = try SessionOptions.engine(arguments, context)
    options.sequenceLimit = arguments[ServeCommand.concurrency]
    options.cacheTokens = arguments[ServeCommand.cacheTokens]
    options.queuedTokenLimit = arguments[ServeCommand.queue]
    options.speculates = arguments[ServeCommand.speculation] == .lookup
    return options
  }

  /// The adapters that are given, whose folders are looked at.
  private static func adapters(
    _ arguments: Arguments, base: String, _ context: CommandContext
  ) throws -> [ServedAdapter] {
    try arguments[ServeCommand.adapters].map { text in
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      // A name has no slash, so that a folder may have an equals sign.
      let isNamed = parts.count == 2 && !parts[0].contains("/") && !text.hasPrefix("=")
      let path = isNamed ? parts[1] : text
      let folder = try PEFTFolder(path: path)
      let name = isNamed ? parts[0] : FilePath.split(folder.path).name
      return ServedAdapter(name: name, base: base, path: path, created: context.startTime)
    }
  }

  /// The most adapters at once of a model that is given so many.
  private static func adapterLimit(_ arguments: Arguments, given: Int) throws -> Int {
    guard arguments[ServeCommand.adapterLoading] || given > 0 else { return 0 }
    let limit =
      arguments[ServeCommand.adapterLimit] ?? (arguments[ServeCommand.adapterLoading] ? max(64, given) : given)
    guard limit >= given else {
      throw UsageError("--max-adapters \(limit) is less than the \(given) that are given", command: ServeCommand.name)
    }
    return limit
  }

  /// About what adapters take in memory: what they take in their files.
  private static func bytes(of adapters: [ServedAdapter]) -> Int {
    adapters.reduce(0) { $0 + (FilePath.status(FilePath.join($1.path, PEFTFolder.tensorsName))?.size ?? 0) }
  }

  /// Loads one model with a backend of its own.
  private struct Loader: Sendable {
    let path: String
    let name: String
    let sharesMemory: Bool
    let arithmetic: Arithmetic
    let options: ServingOptions
    let backend: BackendSettings
    /// Bytes for all models together.
    let budget: Int
    let progress: ProgressReporter

    /// Plans it: an encoder's packed weights and the activations of its longest step, or the engine's whole plan.
    func open() throws -> OpenedModel {
      let checkpoint = try Checkpoint.open(path)
      guard (try? ModelCatalog.textEncoder(for: checkpoint)) == nil else {
        return opened(checkpoint, byteCount: checkpoint.card.byteCount * 2 + 256 << 20) { backend, report in
          .encoder(
            try EncoderService(
              TextEmbedder(checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic, report: report)))
        }
      }
      let plan = try ModelPlan(
        checkpoint, arithmetic: arithmetic, serving: options, budget: budget)
      // Whole pages of each kind; the cache is what the whole budget would have room for.
      let byteCount = plan.bytes.values.reduce(0) { $0 + ($1 / Page.byteCount + 1) * Page.byteCount }
      return opened(checkpoint, byteCount: byteCount) { backend, report in
        .language(
          try BatchEngine(
            checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic, options: options, plan: plan,
            report: report))
      }
    }

    /// A model that `load` loads on a backend of its own.
    private func opened(
      _ checkpoint: Checkpoint, byteCount: Int,
      load: @escaping (CPUBackend, @escaping @Sendable (Int, Int) -> Void) throws -> LoadedModel
    ) -> OpenedModel {
      OpenedModel(byteCount: byteCount) {
        let backend = try backend.make(pool: PagePool(budget: sharesMemory ? byteCount : budget))
        let display = progress.start("loading \(name)", total: checkpoint.card.byteCount)
        defer { display.finish() }
        return try load(backend) { read, total in display.update(to: read, total: total) }
      }
    }
  }
}
