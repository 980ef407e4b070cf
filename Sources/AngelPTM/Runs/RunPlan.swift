public import AngelCore
import AngelData
import AngelModels
import AngelNN
import AngelTensor

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
    public var gradients = 0
    public var optimizerStates = 0
    /// What a step keeps beside its gradients when it keeps most, scratch included.
    public var activations = 0

    public var total: Int { frozenWeights + trainedWeights + gradients + optimizerStates + activations }
  }

  /// Plans by one step of `model`, whose parameters must lie on `backend`: shapes are followed, nothing is computed, so
  /// the peak is exact.
  init(
    _ recipe: TrainingRecipe, _ model: some LanguageModel, _ source: any BatchSource,
    _ distillation: Distillation? = nil, on backend: ShapesBackend
  ) throws {
    let trained = model.trainedParameters.reduce(0) { $0 + $1.parameter.shape.elementCount }
    guard trained > 0 else { throw PTMError.recipe("no parameter is trained: nothing would be learnt") }
    parameterCount = model.parameterCount
    trainedParameterCount = trained
    steps = recipe.training.stepCount(batchesPerEpoch: source.batchesPerEpoch)
    rowsPerBatch = source.rowLimit
    rowsPerStep = rowsPerBatch * recipe.training.accumulation
    gigaflopsPerStep = StepArithmetic(model, distillation).operationsPerToken * Double(rowsPerStep) / 1e9
    memory.trainedWeights = 4 * trained
    memory.gradients = 4 * trained
    memory.optimizerStates = model.trainedParameters.reduce(0) {
      $0 + recipe.optimizer.stateBytes(of: $1.parameter, path: $1.path)
    }
    memory.activations =
      try Self.stepBytes(recipe, model, distillation, rows: rowsPerBatch, on: backend) - memory.gradients
    // The step has made the transposes that frozen matrices keep.
    memory.frozenWeights = max(0, (backend.currentBytes[.weights] ?? 0) - 4 * trained)
  }

  /// The most bytes beside weights that forward and backward passes of one batch hold, gradients included.
  private static func stepBytes(
    _ recipe: TrainingRecipe, _ model: some LanguageModel, _ distillation: Distillation?, rows: Int,
    on backend: ShapesBackend
  ) throws -> Int {
    var batch = TokenBatch()
    for start in stride(from: 0, to: rows, by: recipe.sequenceLength) {
      batch.append(TokenSample([Int32](repeating: 0, count: min(recipe.sequenceLength, rows - start) + 1)))
    }
    backend.resetPeak()
    let recomputes = recipe.training.recompute
    let routers = RouterRegularizer(balance: recipe.experts?.balance ?? 0, z: recipe.experts?.z ?? 0)
    let loss =
      distillation?.loss(of: batch, model, weight: 1, recomputesLayers: recomputes, routers: routers, on: backend)
      ?? model.loss(of: batch, weight: 1, recomputesLayers: recomputes, routers: routers, on: backend)
    let gradients = try loss.backward()
    return withExtendedLifetime(gradients) { backend.peakBytesBesideWeights }
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
        "activations": .integer(memory.activations), "total": .integer(memory.total),
      ],
    ]
  }
}
