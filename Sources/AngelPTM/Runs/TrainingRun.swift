public import AngelCheckpoint
public import AngelCore
public import AngelData
public import AngelModels
public import AngelNN
public import AngelTensor
public import AngelText
import Glibc

/// A recipe carried out: data, model, steps, and what is written along the way.
///
/// The run's folder holds `resolved.yaml` (every setting with its value), `metrics.jsonl`, `tensorboard/`, `curves.svg`,
/// `checkpoints/` and at the end `model/` or `adapter/`.
public final class TrainingRun {
  /// Continues a prompt with a model whose parameters are constants, by at most `tokens` tokens.
  public typealias Sampling = (
    _ model: any LanguageModel, _ encoding: TrainingData.Encoding, _ prompt: String, _ tokens: Int
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
  let surroundings: Surroundings
  let preparation: Preparation
  let data: TrainingData

  /// Reads model and data and makes the plan; nothing is written yet.
  public init(_ recipe: TrainingRecipe, _ surroundings: Surroundings) throws {
    self.recipe = recipe
    self.surroundings = surroundings
    preparation = try Preparation(recipe, surroundings)
    data = try TrainingData(
      recipe, preparation.encoding, progress: surroundings.progress, interruption: surroundings.interruption)
    plan = try RunPlan(recipe, preparation, data)
  }

  private var folder: String { recipe.output.folder }
  private var checkpoints: String { FilePath.join(folder, "checkpoints") }
  private var digest: String { SHA256.hexadecimal(of: Array(recipe.continuationDigestText.utf8)) }

  /// Trains to the end. With `resumes` a run in the recipe's folder is taken up from its latest checkpoint.
  ///
  /// - Throws: `Interrupted` after a checkpoint has been written, when the user asked to stop.
  public func execute(resumes: Bool) throws {
    try surroundings.report(.plan(plan, data.statistics))
    let model = try preparation.makeModel()
    let trainer = try Trainer(
      model, source: data.train, optimizer: recipe.optimizer, learningRate: recipe.learningRate,
      schedule: recipe.training, on: surroundings.backend)
    try begin(trainer, resumes: resumes)
    let writer = try RunWriter(folder: folder, step: trainer.step, name: recipe.output.folder)
    while trainer.step < trainer.stepCount {
      do { try surroundings.interruption.check() } catch {
        try save(trainer)
        throw error
      }
      let record = try trainer.takeStep()
      try writer.write(record)
      try surroundings.report(.step(record, of: trainer.stepCount))
      let isLast = trainer.step == trainer.stepCount
      if isLast || isDue(trainer.step, recipe.output.validateEvery) { try validate(trainer, writer) }
      if isLast || isDue(trainer.step, recipe.output.saveEvery) { try save(trainer) }
    }
    try writer.plot()
    try export(trainer)
  }

  private func isDue(_ step: Int, _ interval: Int?) -> Bool { interval.map { step % $0 == 0 } ?? false }

  /// Prepares the folder and restores a run that was begun.
  private func begin(_ trainer: Trainer, resumes: Bool) throws {
    let latest = try TrainingCheckpoint.latest(in: checkpoints)
    if let latest, !resumes {
      throw PTMError.recipe(
        "'\(folder)' holds a run that was begun (step \(latest.step)): go on with --resume, or set output.folder")
    }
    try FileOperations.makeFolder(folder)
    let file = try AtomicFile(path: FilePath.join(folder, "resolved.yaml"))
    try file.write(recipe.yaml.utf8)
    try file.commit()
    guard let latest else { return }
    guard latest.recipeDigest == digest else {
      throw PTMError.checkpoint(
        path: latest.path, reason: "it is of another recipe; only training and output settings may change on --resume")
    }
    try latest.restore(trainer)
    try surroundings.report(.resumed(step: latest.step, path: latest.path))
  }

  private func save(_ trainer: Trainer) throws {
    let path = try TrainingCheckpoint.write(trainer, recipeDigest: digest, to: checkpoints, keep: recipe.output.keep)
    try surroundings.report(.checkpoint(step: trainer.step, path: path))
  }

  private func validate(_ trainer: Trainer, _ writer: RunWriter) throws {
    if let validation = data.validation {
      let count = min(recipe.output.validationBatches, validation.batchesPerEpoch)
      var (loss, weight) = (0.0, 0.0)
      for index in 0..<count {
        let batch = try validation.batch(index)
        loss += try trainer.loss(of: batch) * batch.weightSum
        weight += batch.weightSum
      }
      try writer.write(step: trainer.step, validationLoss: loss / max(weight, 1e-9))
      try surroundings.report(.validation(step: trainer.step, loss: loss / max(weight, 1e-9)))
    }
    try writer.plot()
    guard let sample = surroundings.sample, !recipe.output.samples.isEmpty else { return }
    let model = trainer.model.detached(arithmetic: recipe.precision == .bf16 ? .bf16 : .f32)
    for prompt in recipe.output.samples {
      let text = try sample(model, preparation.encoding, prompt, recipe.output.sampleTokens)
      try surroundings.report(.sample(step: trainer.step, prompt: prompt, text: text))
    }
  }

  private func export(_ trainer: Trainer) throws {
    if let lora = recipe.lora {
      let path = FilePath.join(folder, "adapter")
      try PEFTFolder.write(
        trainer.model, lora, names: preparation.names, base: recipe.model ?? "", to: path)
      return try surroundings.report(.finished(path: path))
    }
    let path = FilePath.join(folder, "model")
    try ModelFolder(preparation.origin, dtype: recipe.output.type.dtype).write(trainer.model, to: path)
    try surroundings.report(.finished(path: path))
  }
}

/// What happens in a run, in order.
public enum RunEvent {
  case plan(RunPlan, TrainingData.Statistics)
  case resumed(step: Int, path: String)
  case step(StepRecord, of: Int)
  case validation(step: Int, loss: Double)
  case sample(step: Int, prompt: String, text: String)
  case checkpoint(step: Int, path: String)
  case finished(path: String)
}
