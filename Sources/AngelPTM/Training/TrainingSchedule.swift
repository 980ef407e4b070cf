public import AngelCore

/// How long to train and how each step is made.
public struct TrainingSchedule: Configurable, Hashable {
  /// Optimizer steps; nothing: as many as `epochs` take.
  public var steps: Int?
  /// Passes over the data, where `steps` does not say.
  public var epochs = 1.0
  /// Batches whose gradients make one step.
  public var accumulation = 1
  /// Steps in a row that may be left out because a number is not finite, before the run stops.
  public var skipLimit = 5
  /// Steps between measurements of how far updates move the weights; nothing: never.
  public var watchEvery: Int? = 10
  /// Whether layers are computed again in the backward pass rather than kept.
  public var recompute = false
  /// Whether a parameter is changed as soon as its gradient is known, inside the backward pass, so that gradients never
  /// exist together (arXiv:2306.09782). Nothing can then be asked of all gradients first, as clipping does.
  public var updateInBackward = false

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("steps", \.steps, in: 1...1_000_000_000, "optimizer steps; null: as many as epochs take"),
    .value("epochs", \.epochs, in: 1e-6...1e6, "passes over the data, where steps does not say"),
    .value("accumulation", \.accumulation, in: 1...1_000_000, "batches whose gradients make one step"),
    .value("skip_limit", \.skipLimit, in: 1...1000, "steps in a row that may be skipped before the run stops"),
    .value("watch_every", \.watchEvery, in: 1...1_000_000, "steps between measures of update by weight; null: never"),
    .value("recompute", \.recompute, "compute layers again in the backward pass, to save memory"),
    .value(
      "update_in_backward", \.updateInBackward,
      "change each parameter inside the backward pass, so that gradients never exist together"),
  ]

  /// Steps of the whole run.
  public func stepCount(batchesPerEpoch: Int) -> Int {
    steps ?? max(1, Int((epochs * Double(batchesPerEpoch) / Double(accumulation)).rounded(.up)))
  }
}
