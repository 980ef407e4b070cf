public import AngelCore
public import AngelData
public import AngelModels
import AngelNN
public import AngelTensor

/// What a run will take, before it begins: parameters, tokens, memory by kind, arithmetic.
public struct RunPlan: Sendable, Hashable {
  public var parameterCount = 0
  public var trainedParameterCount = 0
  public var steps = 0
  /// Rows of a batch, at most, and of a step.
  public var rowsPerBatch = 0
  public var rowsPerStep = 0
  public var memory = Memory()
  /// Operations of a step (`StepArithmetic`), in units of 10^9.
  public var gigaflopsPerStep = 0.0

  /// Bytes by what they hold.
  public struct Memory: Sendable, Hashable {
    public var frozenWeights = 0
    public var trainedWeights = 0
    /// Of all parameters; where they are changed in the backward pass, of the largest.
    public var gradients = 0
    public var optimizerStates = 0
    /// What a step or a validation keeps beside all that when it keeps most, scratch included.
    public var activations = 0
    /// What the pages hold beside all that: those that are part empty when most of them are in use.
    public var partEmptyPages = 0

    /// What pages hold at their peak.
    public var total: Int { inTensors + partEmptyPages }
    fileprivate var inTensors: Int { frozenWeights + trainedWeights + gradients + optimizerStates + activations }
  }

  /// Plans by two steps and the validations around them of `model`, whose parameters must lie on `backend`, which reads zeros:
  /// the run's own code is followed in its own order, nothing is computed, and memory is asked for as the run asks for it, so
  /// that the peaks are those of a run by one process whose batches all have `rowLimit` rows.
  public init(
    _ recipe: TrainingRecipe, _ model: any LanguageModel, _ source: any BatchSource, on backend: ShapesBackend
  ) throws {
    try self.init(recipe, model, source, nil, on: backend)
  }

  init(
    _ recipe: TrainingRecipe, _ model: any LanguageModel, _ source: any BatchSource, _ distillation: Distillation?,
    on backend: ShapesBackend
  ) throws {
    parameterCount = model.parameterCount
    steps = recipe.training.stepCount(batchesPerEpoch: source.batchesPerEpoch)
    rowsPerBatch = source.rowLimit
    rowsPerStep = rowsPerBatch * recipe.training.accumulation
    let rows = RepeatedBatch.zeros(rows: rowsPerBatch, length: recipe.sequenceLength)
    var schedule = recipe.training
    // The second batch and all that follow find the sum of those before.
    schedule.accumulation = min(2, schedule.accumulation)
    let trainer = try Trainer(
      model, source: rows, optimizer: recipe.optimizer, learningRate: recipe.learningRate, schedule: schedule,
      experts: recipe.experts, upRatio: 1, distillation: distillation,
      makeLayout: { SoloLayout($0) }, on: backend)
    let sizes = trainer.parameters.map(\.parameter.shape.elementCount)
    trainedParameterCount = sizes.reduce(0, +)
    gigaflopsPerStep = trainer.operationsPerToken * Double(rowsPerStep) / 1e9
    // The optimizer's states come with the first step, so that the second has more beside it.
    for step in 0..<3 {
      if recipe.validates { try Self.validate(model, rows, recipe.precision, on: backend) }
      if step < 2 { _ = try trainer.takeStep() }
    }
    memory.trainedWeights = 4 * trainedParameterCount
    // The step has made the transposes that frozen matrices keep.
    memory.frozenWeights = max(0, backend.currentBytes[.weights, default: 0] - memory.trainedWeights)
    memory.optimizerStates = backend.currentBytes[.optimizerStates, default: 0]
    memory.gradients = 4 * (schedule.updateInBackward ? sizes.max() ?? 0 : trainedParameterCount)
    memory.activations = max(0, backend.peakByteCount - memory.inTensors)
    memory.partEmptyPages = max(0, backend.pages.residentByteCount - memory.inTensors)
  }

  private static func validate(
    _ model: some LanguageModel, _ rows: RepeatedBatch, _ precision: TrainingRecipe.Precision,
    on backend: ShapesBackend
  ) throws {
    let constant = model.detached(arithmetic: precision.arithmetic)
    _ = constant.loss(of: rows.batch, weight: 1, recomputesLayers: false, on: backend)
  }

  /// Seconds of the whole run when a step reaches `share` of `peak`, 10^9 operations a second.
  public func seconds(peakGigaflops peak: Double, share: Double) -> Double {
    gigaflopsPerStep * Double(steps) / max(peak * share, 1e-9)
  }

  public var json: JSONValue {
    [
      "parameters": .integer(parameterCount), "trained_parameters": .integer(trainedParameterCount),
      "steps": .integer(steps), "rows_per_batch": .integer(rowsPerBatch), "rows_per_step": .integer(rowsPerStep),
      "gflop_per_step": .number(gigaflopsPerStep),
      "memory": [
        "frozen_weights": .integer(memory.frozenWeights), "trained_weights": .integer(memory.trainedWeights),
        "gradients": .integer(memory.gradients), "optimizer_states": .integer(memory.optimizerStates),
        "activations": .integer(memory.activations), "part_empty_pages": .integer(memory.partEmptyPages),
        "total": .integer(memory.total),
      ],
    ]
  }
}
