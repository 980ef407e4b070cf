public import AngelCheckpoint
public import AngelCore
import AngelData
public import AngelDistributed
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
    /// The processes that train together; nil for one by itself.
    public var mesh: DeviceMesh?
    /// Told of everything that happens; of several processes the first is.
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
    let shapes = ShapesBackend(readsZeros: true)
    plan = try RunPlan(
      recipe, preparation.makeModel(on: shapes), data.train, preparation.makeDistillation(on: shapes), on: shapes)
  }

  /// What a product of matrices gives on this machine at the recipe's precision, in 10^9 operations a second.
  public func measurePeak() throws -> Double {
    try ProductProbe(recipe.precision, size: 768, on: surroundings.backend).measure()
  }

  /// Trains to the end. With `resumes` a run in the recipe's folder is taken up from its latest checkpoint, if there is
  /// one. Of several processes all call it; the first writes and reports.
  ///
  /// - Parameter timeLimit: seconds after which the step in hand is the last.
  /// - Throws: `Interrupted` after a checkpoint has been written, when the user asked to stop.
  public func execute(resumes: Bool, timeLimit: Double = .infinity) throws {
    do { try train(resumes: resumes, timeLimit: timeLimit) } catch let error as DistributedError {
      // A launcher that is ending a job throws away what its processes still print. The first to notice is right: to others who
      // come to it later, whoever noticed is lost, too.
      let path = RunFolder.lost(in: recipe.output.folder)
      if case .lost(let lost) = error, FilePath.kind(path) == nil {
        let file = try? AtomicFile(path: path)
        try? file?.write("\(lost)\n".utf8)
        try? file?.commit()
      }
      throw error
    }
  }

  private func train(resumes: Bool, timeLimit: Double) throws {
    let end = MonotonicClock.seconds() + timeLimit
    guard recipe.mesh.processCount == surroundings.mesh?.world.size ?? 1 else {
      throw PTMError.recipe(
        "the recipe's mesh is for \(recipe.mesh.processCount) processes, and \(surroundings.mesh?.world.size ?? 1) were "
          + "launched: start as many (mpirun -n \(recipe.mesh.processCount) angel train …) or change the mesh")
    }
    let isFirst = surroundings.mesh?.world.rank ?? 0 == 0
    if isFirst {
      try Self.refuseToOverwrite(recipe, resumes)
      try surroundings.report(.plan(plan, data.statistics))
    }
    let folder = isFirst ? try RunFolder(recipe.output.folder) : nil
    let trainer = try preparation.makeTrainer(
      data.train, learningRate: recipe.learningRate, schedule: recipe.training, mesh: surroundings.mesh,
      on: surroundings.backend)
    try restore(trainer)
    if let folder {
      try begin(folder)
      // Every process has read its data by now.
      try data.removeStaleTokens()
    }
    let writer = try folder.map { try RunWriter($0, step: trainer.step) }
    var isLast = trainer.step >= trainer.stepCount
    do {
      if try trainer.layout.anyone(writer.map { try isValidationMissing(trainer, $0, isLast) } ?? false) {
        try validate(trainer, writer)
      }
      let peak = try measurePeak()
      while !isLast {
        // All processes stop after the same step.
        if try trainer.layout.anyone(surroundings.interruption.isRequested) { throw Interrupted() }
        try takeStep(trainer, writer, peak)
        isLast = try trainer.layout.anyone(trainer.step >= trainer.stepCount || MonotonicClock.seconds() > end)
        if isValidationDue(trainer, isLast) { try validate(trainer, writer) }
        if isLast || isDue(trainer.step, recipe.output.saveEvery) { try save(trainer) }
      }
    } catch let stop as Interrupted {
      try save(trainer)
      throw stop
    }
    try writer?.plot()
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

  private func takeStep(_ trainer: Trainer, _ writer: RunWriter?, _ peak: Double) throws {
    var record = try trainer.takeStep()
    record.peakGigaflops = peak * Double(surroundings.mesh?.world.size ?? 1)
    if let writer {
      try writer.write(record)
      try surroundings.report(.step(record, of: trainer.stepCount))
    }
    try trainer.count(record)
  }

  private func isDue(_ step: Int, _ interval: Int?) -> Bool { interval.map { step % $0 == 0 } ?? false }

  private var digest: String { SHA256.hexadecimal(of: Array((recipe.continuationDigestText + data.digest).utf8)) }

  /// Makes a run's folder for a process that comes later; throws where it holds a run that is not to be gone on with.
  public static func makeFolder(_ recipe: TrainingRecipe, resumes: Bool) throws {
    try refuseToOverwrite(recipe, resumes)
    try FileOperations.makeFolder(recipe.output.folder)
  }

  private static func refuseToOverwrite(_ recipe: TrainingRecipe, _ resumes: Bool) throws {
    let folder = recipe.output.folder
    guard !resumes, let latest = try TrainingCheckpoint.latest(in: RunFolder.checkpoints(in: folder)) else { return }
    throw PTMError.recipe(
      "'\(folder)' holds a run that was begun (step \(latest.step)): go on with --resume, or set output.folder")
  }

  /// Takes a run up that was begun; every process reads its part.
  private func restore(_ trainer: Trainer) throws {
    let latest = try TrainingCheckpoint.latest(in: RunFolder.checkpoints(in: recipe.output.folder))
    if let latest, latest.recipeDigest != digest {
      throw PTMError.checkpoint(
        path: latest.path,
        reason: "it is of another recipe or of other data; only mesh, training and output settings may change on "
          + "--resume")
    }
    let step = [Double(latest?.step ?? -1)]
    let steps = try surroundings.mesh?.world.gathered(step, "all-gather of checkpoints' steps") ?? [step]
    guard steps.allSatisfy({ $0 == step }) else {
      throw PTMError.recipe(
        "'\(recipe.output.folder)' is not the same on all hosts: output.folder must lie on storage that they share")
    }
    guard let latest else { return }
    try latest.restore(trainer)
    if trainer.layout.isFirst { try surroundings.report(.resumed(step: latest.step, path: latest.path)) }
  }

  /// Writes the whole recipe down.
  private func begin(_ folder: RunFolder) throws {
    let lost = RunFolder.lost(in: folder.path)
    if FilePath.kind(lost) != nil { try FileOperations.remove(lost) }
    let file = try AtomicFile(path: folder.recipe)
    try file.write(recipe.yaml.utf8)
    try file.commit()
  }

  private func save(_ trainer: Trainer) throws {
    let path = try TrainingCheckpoint.write(
      trainer, recipeDigest: digest, to: RunFolder.checkpoints(in: recipe.output.folder), keep: recipe.output.keep)
    if let path { try surroundings.report(.checkpoint(step: trainer.step, path: path)) }
  }

  /// Loss and samples with a copy of the model whose parameters are constants.
  private func validate(_ trainer: Trainer, _ writer: RunWriter?) throws {
    _ = try trainer.layout.lead(parts(trainer)) { if let writer { try validate(trainer, writer) } }
  }

  private func validate(_ trainer: Trainer, _ writer: RunWriter) throws {
    let samples = surroundings.sample == nil ? [] : recipe.output.samples
    defer { try? writer.write(page) }
    guard !data.validations.isEmpty || !samples.isEmpty else { return try writer.plot() }
    let model = try wholeModel(trainer).detached(arithmetic: recipe.precision.arithmetic)
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

  /// What the first process asks for to put a model together that is shared out.
  private func parts(_ trainer: Trainer) -> [StoredValue] { trainer.layout.peers == nil ? [] : trainer.storedValues }

  /// The model with all of every layer; on the first process, which leads.
  private func wholeModel(_ trainer: Trainer) throws -> any LanguageModel {
    guard trainer.layout.peers != nil else { return trainer.model }
    let model = try preparation.makeModel(on: surroundings.backend)
    let parameters = Dictionary(
      uniqueKeysWithValues: model.trainedParameters.map { ("parameters/" + $0.path, $0.parameter) })
    for value in trainer.storedValues where value.isParameter {
      let whole = try trainer.layout.whole(value)
      try parameters[value.name]?.update { values in try whole.withHostBytes { values.overwrite(with: $0) } }
    }
    return model
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

  private func export(_ trainer: Trainer, _ folder: RunFolder?, _ writer: RunWriter?) throws {
    _ = try trainer.layout.lead(parts(trainer)) {
      if let folder { try write(trainer, to: preparation.lora == nil ? folder.model : folder.adapter) }
    }
    if let average = trainer.average {
      // The run is over: its weights may go.
      try average.replaceParameters()
      try trainer.layout.publish()
      _ = try trainer.layout.lead(parts(trainer)) { if let folder { try write(trainer, to: averagePath(folder)) } }
    }
    guard let folder, let writer else { return }
    let path = preparation.lora == nil ? folder.model : folder.adapter
    var page = page
    page.hashes = try RunHashes.of(
      recipe, models: try preparation.sources, recipeFile: folder.recipe, results: [path, averagePath(folder)],
      interruption: surroundings.interruption)
    try writer.write(page)
    try surroundings.report(.finished(path: path))
  }

  private func averagePath(_ folder: RunFolder) -> String {
    (preparation.lora == nil ? folder.model : folder.adapter) + "-average"
  }

  private func write(_ trainer: Trainer, to path: String) throws {
    if let lora = preparation.lora {
      return try PEFTFolder.write(
        trainer.model, lora.shape, names: preparation.names, base: recipe.model ?? "",
        chatTemplate: preparation.chatTemplate, to: path)
    }
    try ModelFolder(
      preparation.origin, dtype: recipe.output.type.dtype, chatTemplate: preparation.chatTemplate
    ).write(wholeModel(trainer), to: path)
  }
}
