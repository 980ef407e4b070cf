public import AngelCore

/// Why training cannot begin or go on.
public enum PTMError: DescribedError, Equatable {
  /// The recipe asks for something that does not fit together.
  case recipe(String)
  /// A checkpoint cannot be used.
  case checkpoint(path: String, reason: String)
  /// Numbers stopped being numbers.
  case notFinite(step: Int, what: String, first: String, skipped: Int)
  /// A gradient is not finite, and other parameters have been changed already.
  case halfUpdated(step: Int, path: String)

  public var description: String {
    switch self {
    case .recipe(let text): text
    case .checkpoint(let path, let reason): "'\(path)': \(reason)"
    case .halfUpdated(let step, let path):
      "step \(step): the gradient of \(path) is not finite, and training.update_in_backward has changed other parameters "
        + "already: go on from the last checkpoint (--resume) with it off, or with a lower optimizer.learning_rate"
    case .notFinite(let step, let what, let first, let skipped):
      "step \(step): \(what) is not finite, \(skipped) steps in a row, first \(first); "
        + "lower optimizer.learning_rate, lengthen schedule.warmup, or look at the data of this step"
    }
  }
}
