public import AngelCore
import AngelData
import AngelModels
import AngelNN
import AngelTensor

/// What a run will take, before it begins: parameters, tokens, memory by kind.
public struct RunPlan: Sendable, Hashable {
  public var parameterCount = 0
  public var trainedParameterCount = 0
  public var steps = 0
  /// Rows of a batch, at most, and of a step.
  public var rowsPerBatch = 0
  public var rowsPerStep = 0
  /// Bytes of frozen weights, trained weights, gradients and optimizer states.
  public var frozenBytes = 0
  public var weightBytes = 0
  public var gradientBytes = 0
  public var optimizerBytes = 0
  /// Operations of a step, counted as 6 a token and matrix parameter, in units of 10^9.
  public var gigaflopsPerStep = 0.0

  init(_ recipe: TrainingRecipe, _ preparation: Preparation, _ data: TrainingData) throws {
    var matrixCount = 0
    let adapters = try Self.adapterCount(recipe, preparation)
    for (path, parameter) in preparation.outline.parameterShapes() {
      parameterCount += parameter.shape.elementCount
      if parameter.shape.rank > 1, !path.hasPrefix("embedding") { matrixCount += parameter.shape.elementCount }
    }
    trainedParameterCount = adapters ?? parameterCount
    steps = recipe.training.stepCount(batchesPerEpoch: data.train.batchesPerEpoch)
    rowsPerBatch = data.train.rowLimit
    rowsPerStep = rowsPerBatch * recipe.training.accumulation
    frozenBytes = adapters == nil ? 0 : 4 * parameterCount
    weightBytes = 4 * trainedParameterCount
    gradientBytes = 4 * trainedParameterCount
    optimizerBytes =
      (recipe.optimizer.rule == .adamw ? 8 : recipe.optimizer.momentum > 0 ? 4 : 0) * trainedParameterCount
    gigaflopsPerStep = 6 * Double(matrixCount) * Double(rowsPerStep) / 1e9
  }

  /// The parameters of adapters, nil where the whole model is trained.
  private static func adapterCount(_ recipe: TrainingRecipe, _ preparation: Preparation) throws -> Int? {
    guard let lora = recipe.lora else { return nil }
    return try count(lora, preparation.outline, preparation)
  }

  private static func count(
    _ lora: LoRAConfiguration, _ outline: some LanguageModel, _ preparation: Preparation
  ) throws -> Int {
    let paths = try Adapters.targets(lora, in: outline, names: preparation.names)
    return paths.reduce(0) { $0 + lora.rank * ($1.shape[0] + $1.shape[1]) }
  }

  public var json: JSONValue {
    [
      "parameters": .integer(parameterCount), "trained_parameters": .integer(trainedParameterCount),
      "steps": .integer(steps), "rows_per_batch": .integer(rowsPerBatch), "rows_per_step": .integer(rowsPerStep),
      "gflop_per_step": .number(gigaflopsPerStep),
      "memory": [
        "frozen_weights": .integer(frozenBytes), "trained_weights": .integer(weightBytes),
        "gradients": .integer(gradientBytes), "optimizer_states": .integer(optimizerBytes),
      ],
    ]
  }
}
