public import AngelCheckpoint
public import AngelCore
import AngelData
public import AngelModels
import AngelNN
public import AngelTensor
import AngelText
import Glibc

/// A recipe carried out: data, model, steps, and what is written along the way.
///
/// The run's folder holds `resolved.yaml` (every setting with its value), `metrics.jsonl`, `tensorboard/`,
/// `curves.svg`, `report.html`, `checkpoints/` and at the end `model/` or `adapter/`.
public final class TrainingRun {
  /// Continues prompt tokens with a model whose parameters are constants, as the recipe's output group says.
  public typealias Sampling = (
    _ model: any LanguageModel, _ encoding: TrainingData.Encoding, _ prompt: [Int32], _ recipe: TrainingRecipe
  ) throws -> String

  /// What the run needs of the program around it.
  public struct Surroundings {
    public var backend: any Backend
    public var progress: ProgressReporter
    public var interruption: Interruption
    /// The files of a model by its name in the recipe.
    public var openModel: (String) throws -> Checkpoint
    /// Continues a prompt with the model of now; training does not know how models are served. Nil: no samples.
    public var sample: Sampling?
    /// What the run's page says of program and machine.
    public var environment: [(name: String, value: String)] = []
    /// Told of everything that happens.
    public var report: (RunEvent) throws -> Void

    public init(
      backend: any Backend, progress: ProgressReporter, interruption: Interruption,
      openModel: @escaping (String) throws -> Checkpoint,
      sample: Sampling? = nil,
      report: @escaping (RunEvent) throws -> Void
    ) {
      self.backend = backend
      self.progress = progress
      self.interruption = interruption
      self.openModel = openModel
      self.sample = sample
      self.report = report
    }
  }

  public let recipe: TrainingRecipe
  public let plan: RunPlan
  /// What was found in the recipe's files.
  public var statistics: TrainingData.Statistics { data.statistics }
  private let surroundings: Surroundings
  private let preparation: Preparation
  private let data: TrainingData

  /// Reads model and data and makes the plan; nothing is written yet.
  public init(_ recipe: TrainingRecipe, _ surroundings: Surroundings) throws {
    self.recipe = recipe
    self.surroundings = surroundings
    preparation = try Preparation(recipe, surroundings)
    data = try TrainingData(
      recipe, preparation.encoding, progress: surroundings.progress, interruption: surroundings.interruption)
    let shapes = ShapesBackend()
    plan = try RunPlan(
      recipe, preparation.makeModel(on: shapes), data.train, preparation.makeDistillation(on: shapes), on: shapes)
  }

  /// What a product of matrices gives on this machine at the recipe's precision, in 10^9 operations a second.
  public func measurePeak() throws -> Double {
    try ProductProbe(recipe.precision, size: 768, on: surroundings.backend).measure()
  }

  /// Trains to the end. With `resumes` a run in the recipe's folder is taken up from its latest checkpoint, if there is
  /// one.
  ///
  /// - Parameter timeLimit: seconds after which the step in hand is the last.
  /// - Throws: `Interrupted` after a checkpoint has been written, when the user asked to stop.
  public func execute(resumes: Bool, timeLimit: Double = .infinity) throws {
    let end = MonotonicClock.seconds() + timeLimit
    try refuseToOverwrite(resumes)
    try surroundings.report(.plan(plan, data.statistics))
    let folder = try RunFolder(recipe.output.folder)
    let trainer = try preparation.makeTrainer(
      data.train, learningRate: recipe.learningRate, schedule: recipe.training, on: surroundings.backend)
    try begin(trainer, folder)
    try data.removeStaleTokens()
    let writer = try RunWriter(folder, step: trainer.step)
    var isLast = trainer.step >= trainer.stepCount
    do {
      if try isValidationMissing(trainer, writer, isLast) { try validate(trainer, writer) }
      let peak = try measurePeak()
      while !isLast {
        try surroundings.interruption.check()
        try takeStep(trainer, writer, peak)
        isLast = trainer.step >= trainer.stepCount || MonotonicClock.seconds() > end
        if isValidationDue(trainer, isLast) { try validate(trainer, writer) }
        if isLast || isDue(trainer.step, recipe.output.saveEvery) { try save(trainer, folder) }
      }
    } catch let stop as Interrupted {
      try save(trainer, folder)
      throw stop
    }
    try writer.plot()
    try export(trainer, folder, writer)
  }

  /// Whether the run begins with a validation: a new one does, and one that was stopped inside of one.
  private func isValidationMissing(_ trainer: Trainer, _ writer: RunWriter, _ isLast: Bool) throws -> Bool {
    guard trainer.step > 0, !data.validations.isEmpty else { return trainer.step == 0 }
    return try isValidationDue(trainer, isLast) && !writer.hasValidation(step: trainer.step)
  }

  private func isValidationDue(_ trainer: Trainer, _ isLast: Bool) -> Bool {
    trainer.step == 0 || isLast || isDue(trainer.step, recipe.output.validateEvery)
  }

  private func takeStep(_ trainer: Trainer, _ writer: RunWriter, _ peak: Double) throws {
    var record = try trainer.takeStep()
    record.peakGigaflops = peak
    try writer.write(record)
    try surroundings.report(.step(record, of: trainer.stepCount))
    try trainer.count(record)
  }

  private func isDue(_ step: Int, _ interval: Int?) -> Bool { interval.map { step % $0 == 0 } ?? false }

  private var digest: String { SHA256.hexadecimal(of: Array((recipe.continuationDigestText + data.digest).utf8)) }

  private func refuseToOverwrite(_ resumes: Bool) throws {
    let folder = recipe.output.folder
    guard !resumes, let latest = try TrainingCheckpoint.latest(in: RunFolder.checkpoints(in: folder)) else { return }
    throw PTMError.recipe(
      "'\(folder)' holds a run that was begun (step \(latest.step)): go on with --resume, or set output.folder")
  }

  /// Writes the whole recipe down and restores a run that was begun.
  private func begin(_ trainer: Trainer, _ folder: RunFolder) throws {
    let latest = try TrainingCheckpoint.latest(in: folder.checkpoints)
    if let latest, latest.recipeDigest != digest {
      throw PTMError.checkpoint(
        path: latest.path,
        reason: "it is of another recipe or of other data; only training and output settings may change on --resume")
    }
    if let latest { try latest.restore(trainer) }
    let file = try AtomicFile(path: folder.recipe)
    try file.write(recipe.yaml.utf8)
    try file.commit()
    if let latest { try surroundings.report(.resumed(step: latest.step, path: latest.path)) }
  }

  private func save(_ trainer: Trainer, _ folder: RunFolder) throws {
    let path = try TrainingCheckpoint.write(
      trainer, recipeDigest: digest, to: folder.checkpoints, keep: recipe.output.keep)
    try surroundings.report(.checkpoint(step: trainer.step, path: path))
  }

  /// Loss and samples with a copy of the model whose parameters are constants.
  private func validate(_ trainer: Trainer, _ writer: RunWriter) throws {
    let samples = surroundings.sample == nil ? [] : recipe.output.samples
    defer { try? writer.write(page) }
    guard !data.validations.isEmpty || !samples.isEmpty else { return try writer.plot() }
    let model = trainer.model.detached(arithmetic: recipe.precision == .bf16 ? .bf16 : .f32)
    if !data.validations.isEmpty {
      let (loss, tasks) = try losses(model)
      try writer.write(step: trainer.step, validationLoss: loss, tasks: tasks)
      try surroundings.report(.validation(step: trainer.step, loss: loss))
      for task in tasks { try surroundings.report(.task(step: trainer.step, name: task.name, loss: task.loss)) }
    }
    try writer.plot()
    for prompt in samples {
      let tokens = try preparation.encoding.promptTokens(prompt, isQuestion: !recipe.rowsAreTexts)
      let text = try surroundings.sample?(model, preparation.encoding, tokens, recipe) ?? ""
      try writer.write(step: trainer.step, prompt: prompt, sample: text)
      try surroundings.report(.sample(step: trainer.step, prompt: prompt, text: text))
    }
  }

  /// The mean loss over all validation rows, and that of each file where there are several.
  private func losses(
    _ model: any LanguageModel
  ) throws -> (all: Double, tasks: [(name: String, loss: Double)]) {
    let parts = try data.validations.map {
      try model.meanLoss(
        of: $0.source, count: recipe.output.validationBatches, on: surroundings.backend,
        interruption: surroundings.interruption)
    }
    let weight = parts.reduce(0) { $0 + $1.weight }
    let all = parts.reduce(0) { $0 + $1.loss * $1.weight / weight }
    guard parts.count > 1 else { return (all, []) }
    return (all, zip(data.validations, parts).map { ($0.name, $1.loss) })
  }

  /// The run's page without hashes, which are taken at the end.
  private var page: RunReport {
    RunReport(
      folder: recipe.output.folder, recipe: recipe, plan: plan, statistics: data.statistics, lines: [],
      environment: surroundings.environment)
  }

  private func export(_ trainer: Trainer, _ folder: RunFolder, _ writer: RunWriter) throws {
    let path = preparation.lora == nil ? folder.model : folder.adapter
    try write(trainer, to: path)
    if let average = trainer.average {
      // The run is over: its weights may go.
      try average.replaceParameters()
      try write(trainer, to: path + "-average")
    }
    var page = page
    page.hashes = try RunHashes.of(
      recipe, model: preparation.checkpoint, recipeFile: folder.recipe, results: [path, path + "-average"])
    try writer.write(page)
    try surroundings.report(.finished(path: path))
  }

  private func write(_ trainer: Trainer, to path: String) throws {
    if let lora = preparation.lora {
      return try PEFTFolder.write(
        trainer.model, lora, names: preparation.names, base: recipe.model ?? "", to: path)
    }
    try ModelFolder(preparation.origin, dtype: recipe.output.type.dtype).write(trainer.model, to: path)
  }
}
