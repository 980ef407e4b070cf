import AngelTensor

/// How the two of every four consecutive inputs of an output are chosen whose weights stay; the others become zero (2:4).
public enum PruningMethod: String, CaseIterable, Sendable {
  /// The greatest |w|. Needs no text.
  case magnitude
  /// The greatest |w| times the norm of its input over a text (Wanda, arXiv:2306.11695, §3).
  case wanda

  /// Weights [N, K] with their zeros; without inputs magnitudes decide.
  func callAsFunction(_ values: Tensor, _ inputs: LayerInputs?) -> Tensor {
    guard self == .wanda, let inputs else { return values.pruned() }
    return values.pruned(importance: Tensor(inputs.squares, on: values.backend))
  }
}
