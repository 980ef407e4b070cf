import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelPTM

/// The fine-tuning that `angel quickstart` shows: an adapter in the manner of `QuickstartRows`, within about two minutes.
///
/// Its folder lies in the store and is a run like any other. One that was stopped goes on from its last checkpoint; one that is
/// done is begun anew.
struct QuickstartTuning {
  /// What came of it.
  struct Outcome {
    var adapter: String
    /// Where the model with the adapter merged into it is to lie.
    var merged: String
    var steps: Int
    var seconds: Double
    var losses: (before: Double, after: Double)
    /// Answers to the prompts, with the adapter.
    var answers: [String]
  }

  /// Seconds that steps may take together, and what the number of steps is chosen for.
  private static let limit = (hard: 150.0, wanted: 100.0)
  /// More steps teach no more, fewer too little.
  private static let steps = 10...60
  /// The share of a product's speed that a step is expected to reach.
  private static let expectedShare = 0.4

  private let model: String
  private let folder: String
  private let merged: String
  private let context: CommandContext
  private let backend: CPUBackend

  init(_ model: String, on backend: CPUBackend, _ context: CommandContext) throws {
    self.model = model
    self.backend = backend
    self.context = context
    let name = model.split(separator: "/").last.map(String.init) ?? model
    folder = FilePath.join(FilePath.join(try context.store.root, "quickstart"), name)
    merged = FilePath.join(folder, "\(name)-keeper")
  }

  /// Trains and asks `prompts`; nil after a line that says why, where this model cannot be trained so.
  func run(_ prompts: [String], maxTokens: Int, contextLength: Int) throws -> Outcome? {
    var recipe = try recipe(prompts, maxTokens, contextLength)
    let events = Events()
    do {
      recipe.training.steps = try stepCount(recipe)
      return try train(recipe, events)
    } catch let error as any DescribedError where !events.hasBegun && !(error is Interrupted) {
      try say("not fine-tuned: \(error)")
      return nil
    }
  }

  // MARK: The recipe

  private func recipe(_ prompts: [String], _ maxTokens: Int, _ contextLength: Int) throws -> TrainingRecipe {
    try FileOperations.makeFolder(folder)
    var recipe = TrainingRecipe()
    recipe.model = model
    recipe.data.train = [try write(QuickstartRows.train, "train.jsonl")]
    recipe.data.validation = [try write(QuickstartRows.heldOut, "held-out.jsonl")]
    recipe.sequenceLength = min(256, contextLength)
    recipe.batchSize = 2
    recipe.precision = quickerPrecision
    recipe.lora = LoRAConfiguration()
    recipe.optimizer.learningRate = 1e-3
    recipe.optimizer.weightDecay = 0
    recipe.learningRate.warmup = 3
    recipe.output.folder = FilePath.join(folder, "run")
    recipe.output.saveEvery = 10
    recipe.output.keep = 1
    recipe.output.samples = prompts
    recipe.output.sampleTokens = maxTokens
    return recipe
  }

  private func write(_ text: String, _ name: String) throws -> String {
    let file = try AtomicFile(path: FilePath.join(folder, name))
    try file.write(text.utf8)
    try file.commit()
    return file.path
  }

  /// Processors with an instruction for it are quicker in bfloat16; others put it together.
  private var quickerPrecision: TrainingRecipe.Precision {
    backend.instructionSet.hasSuffix("bf16") ? .bf16 : .f32
  }

  private func stepCount(_ recipe: TrainingRecipe) throws -> Int {
    var recipe = recipe
    recipe.training.steps = 1
    let run = try TrainingRun(recipe, surroundings { _ in })
    let seconds = try run.plan.seconds(peakGigaflops: run.measurePeak(), share: Self.expectedShare)
    return min(max(Int(Self.limit.wanted / max(seconds, 1e-3)), Self.steps.lowerBound), Self.steps.upperBound)
  }

  // MARK: The run

  private func train(_ recipe: TrainingRecipe, _ events: Events) throws -> Outcome {
    let clock = ContinuousClock()
    let begin = clock.now
    let view = TrainingView(recipe, context)
    let run = try TrainingRun(
      recipe,
      surroundings(sample: { events.hasLearnt ? try TrainCommand.sample($0, $1, $2, $3, on: backend) : "" }) { event in
        events.take(event)
        switch event {
        case .step, .resumed: if !context.printsJSON { try view.show(event) }
        default: break
        }
      })
    do { try execute(run, recipe) } catch {
      view.end()
      if error is Interrupted { try say("stopped; the next quickstart goes on with it") }
      throw error
    }
    view.end()
    let losses = try MetricsFile.lines(FilePath.join(recipe.output.folder, "metrics.jsonl"))
      .compactMap { $0["validation_loss"]?.double }
    return Outcome(
      adapter: FilePath.join(recipe.output.folder, "adapter"), merged: merged, steps: events.step,
      seconds: (clock.now - begin) / .seconds(1), losses: (losses.first ?? .nan, losses.last ?? .nan),
      answers: events.answers)
  }

  /// Goes on with a run that was stopped; begins anew where there is none, where it is done, or where it is of no use.
  private func execute(_ run: TrainingRun, _ recipe: TrainingRecipe) throws {
    let path = recipe.output.folder
    if FilePath.kind(FilePath.join(path, "adapter")) != nil { try FileOperations.remove(path) }
    do { try run.execute(resumes: true, timeLimit: Self.limit.hard) } catch PTMError.checkpoint {
      try FileOperations.remove(path)
      try run.execute(resumes: true, timeLimit: Self.limit.hard)
    }
  }

  private func surroundings(
    sample: TrainingRun.Sampling? = nil, report: @escaping (RunEvent) throws -> Void
  ) -> TrainingRun.Surroundings {
    TrainingRun.Surroundings(
      backend: backend, progress: context.progress, interruption: context.interruption,
      openModel: context.openCheckpoint, sample: sample, report: report)
  }

  private func say(_ text: String) throws {
    if context.printsJSON { context.diagnostics.attempt(text + "\n") } else { try context.output.line(text) }
  }

  /// What the run has told so far.
  private final class Events {
    private(set) var hasBegun = false
    private(set) var step = 0
    private(set) var answers: [String] = []
    /// Whether there is anything that answers without the run would not show.
    var hasLearnt: Bool { step > 0 }

    func take(_ event: RunEvent) {
      hasBegun = true
      switch event {
      case .step(let record, _): step = record.step
      case .resumed(let step, _): self.step = step
      case .sample(_, _, let text): if hasLearnt { answers.append(text) }
      default: break
      }
    }
  }
}
