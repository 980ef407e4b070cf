public import AngelCore

/// Why training cannot begin or go on.
public enum PTMError: DescribedError, Equatable {
  /// The recipe asks for something that does not fit together.
  case recipe(String)
  /// A checkpoint cannot be used.
  case checkpoint(path: String, reason: String)
  /// Numbers stopped being numbers.
  case notFinite(step: Int, what: String, first: String, skipped: Int)

  public var description: String {
    switch self {
    case .recipe(let text): text
    case .checkpoint(let path, let reason): "'\(path)': \(reason)"
    case .notFinite(let step, let what, let first, let skipped):
      "step \(step): \(what) is not finite, \(skipped) steps in a row, first \(first); "
        + "lower optimizer.learning_rate, lengthen schedule.warmup, or look at the data of this step"
    }
  }
}
