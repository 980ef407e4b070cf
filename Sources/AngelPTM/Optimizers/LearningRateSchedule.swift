public import AngelCore
import Glibc

/// How the learning rate goes over a run: up to its highest, then down.
public struct LearningRateSchedule: Configurable, Hashable {
  /// The ways down.
  public enum Shape: String, ConfigurationChoice {
    case constant, linear, cosine
    /// Warm-up, a plateau, then a linear descent over the last part (arXiv:2404.06395).
    case wsd
  }

  public var shape = Shape.cosine
  /// Steps of a linear rise from zero.
  public var warmup = 0
  /// What is left at the end, as a share of the highest.
  public var finalRatio = 0.1
  /// The last part of the run, in which `wsd` descends.
  public var decayRatio = 0.2

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("shape", \.shape, "constant, linear, cosine, or wsd: a plateau and a last descent"),
    .value("warmup", \.warmup, in: 0...1_000_000_000, "steps in which the rate rises from zero"),
    .value("final_ratio", \.finalRatio, in: 0...1, "the rate at the end, as a share of the highest"),
    .value("decay_ratio", \.decayRatio, in: 0...1, "the share of the run in which wsd descends"),
  ]

  /// The share of the highest rate at `step`, counted from 0, of `steps`.
  public func ratio(at step: Int, of steps: Int) -> Double {
    if step < warmup { return Double(step + 1) / Double(warmup + 1) }
    let progress = min(1, Double(step - warmup) / Double(max(1, steps - warmup)))
    switch shape {
    case .constant: return 1
    case .linear: return 1 - (1 - finalRatio) * progress
    case .cosine: return finalRatio + (1 - finalRatio) * 0.5 * (1 + cos(.pi * progress))
    case .wsd:
      let begin = 1 - decayRatio
      return progress < begin ? 1 : 1 - (1 - finalRatio) * (progress - begin) / max(decayRatio, 1e-9)
    }
  }
}
