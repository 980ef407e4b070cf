import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelServer

/// The models on a command line, each ready to be loaded when it is asked for.
struct ServedModels {
  let all: [ServedModel]

  /// Finds the models; none is read yet.
  ///
  /// - Parameter budget: bytes for all of them together.
  init(_ arguments: Arguments, budget: Int, _ context: CommandContext) throws {
    var all: [ServedModel] = []
    let sharesMemory = arguments.positionals.count > 1
    if arguments.has(SessionOptions.adapter), sharesMemory {
      throw UsageError("--adapter stands beside one MODEL, but several are named", command: ServeCommand.name)
    }
    let options = try Self.options(arguments, context)
    for text in arguments.positionals {
      let found = try context.store.resolve(text)
      guard !all.contains(where: { $0.name == found.name }) else {
        throw UsageError("two models are called '\(found.name)'", command: ServeCommand.name)
      }
      let loader = Loader(
        path: found.path, name: found.name, sharesMemory: sharesMemory, arithmetic: context.arithmetic,
        options: options, backend: context.backendSettings(arguments),
        budget: budget, progress: context.progress)
      all.append(
        ServedModel(
          name: found.name, created: context.startTime, byteCount: { try loader.byteCount() },
          load: { try loader.load() }))
    }
    self.all = all
  }

  private static func options(_ arguments: Arguments, _ context: CommandContext) throws -> ServingOptions {
    var options = ServingOptions()
    options.engine = try SessionOptions.engine(arguments, context)
    options.sequenceLimit = arguments[ServeCommand.concurrency]
    options.cacheTokens = arguments[ServeCommand.cacheTokens]
    options.queuedTokenLimit = arguments[ServeCommand.queue]
    return options
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

    private func isEncoder(_ checkpoint: Checkpoint) -> Bool { (try? ModelCatalog.textEncoder(for: checkpoint)) != nil }

    /// The plan's bytes, in whole pages of each kind; the cache is what the whole budget would have room for.
    func byteCount() throws -> Int {
      let checkpoint = try Checkpoint.open(path)
      if isEncoder(checkpoint), let adapter = options.engine.adapter {
        throw ModelError.adapter(
          path: adapter.path, reason: "'\(name)' is an encoder: adapters stand beside language models")
      }
      // Packed weights, and activations of its longest step.
      if isEncoder(checkpoint) { return checkpoint.card.byteCount * 2 + 256 << 20 }
      let plan = try ModelPlan(checkpoint, arithmetic: arithmetic, serving: options, budget: budget)
      return plan.bytes.values.reduce(0) { $0 + ($1 / Page.byteCount + 1) * Page.byteCount }
    }

    func load() throws -> LoadedModel {
      let checkpoint = try Checkpoint.open(path)
      let pool = try sharesMemory ? PagePool(budget: byteCount()) : nil
      let backend = try backend.make(pool: pool)
      let display = progress.start("loading \(name)", total: checkpoint.card.byteCount)
      defer { display.finish() }
      let report: @Sendable (Int, Int) -> Void = { read, _ in display.update(to: read) }
      if isEncoder(checkpoint) {
        let embedder = try TextEmbedder(
          checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic, report: report)
        return .encoder(try EncoderService(embedder))
      }
      return .language(
        try BatchEngine(
          checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic, options: options, report: report))
    }
  }
}
