import AngelCPU
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels

/// The batch rows of `angel bench inference`: requests that come at once, through the serving engine.
struct BenchBatch {
  /// Tokens of a prompt and of an answer: small, as in a chat.
  static let promptLength = 64
  static let answerLength = 32
  static let adapterRank = 16

  let model: any LanguageModel
  let backend: CPUBackend
  let arguments: Arguments
  let context: CommandContext

  /// Measures `batch` requests at once, which have so many adapters of rank 16 beside every layer in turn.
  func measure(_ batch: Int, adapters: Int = 0) throws -> BenchInference.Row {
    let length = Self.promptLength + Self.answerLength
    var options = ServingOptions()
    options.engine = try SessionOptions.engine(arguments, context, contextLength: length)
    options.sequenceLimit = batch
    // No repetition may find its prompts in the cache.
    options.sharesPrefixes = false
    // Answers to prompts of no meaning repeat themselves: guessing would measure that.
    options.speculates = false
    options.cacheTokens = batch * length
    options.adapterLimit = adapters
    let trial = try BatchTrial(model, on: backend, pool: backend.pool, options: options)
    try trial.addRandomAdapters(adapters, rank: Self.adapterRank)
    trial.isInterrupted = { [interruption = context.interruption] in interruption.isRequested }
    let runs = arguments[BenchInference.repetitions]
    let display = context.progress.start(
      "batch of \(batch)" + (adapters > 0 ? ", \(adapters) adapters" : ""), total: runs + 1, unit: .items("runs"))
    var samples: [(wall: Double, cpu: Double)] = []
    let clock = ContinuousClock()
    var before = trial.statistics
    for run in 0...runs {
      try context.interruption.check()
      let prompts = (0..<batch).map { prompt($0 + run * batch) }
      let (begin, cpu) = (clock.now, BenchCommand.cpuSeconds())
      _ = try trial.answers(to: prompts, answerLength: Self.answerLength)
      // The first run warms caches and thread pool and does not count.
      if run == 0 {
        before = trial.statistics
      } else {
        samples.append(((clock.now - begin).seconds, BenchCommand.cpuSeconds() - cpu))
      }
      display.update(to: run + 1)
    }
    display.finish()
    let after = trial.statistics
    let scheduling = after.schedulingSeconds - before.schedulingSeconds
    let walls = samples.map(\.wall).sorted()
    func rate(_ seconds: Double) -> Double { Double(batch * length) / seconds }
    return BenchInference.Row(
      test: "batch", batch: batch, adapters: adapters, tokens: batch * length, tokensPerSecond: rate(walls.median),
      tokensPerCPUSecond: rate(samples.map(\.cpu).median), spread: rate(walls[walls.count - 1])...rate(walls[0]),
      schedulingShare: scheduling / (scheduling + after.modelSeconds - before.modelSeconds))
  }

  /// Any tokens do; each prompt has its own.
  private func prompt(_ number: Int) -> [Int32] {
    (0..<Self.promptLength).map { Int32((($0 + 1) * 7919 + number * 104_729) % model.configuration.vocabularySize) }
  }
}
