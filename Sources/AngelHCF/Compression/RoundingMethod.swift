/// How weights are rounded to blocks of few bits.
public enum RoundingMethod: String, CaseIterable, Sendable {
  /// Each value to the nearest by the format's own rule. Needs no text.
  case nearest
  /// Scales that lose least where inputs are large: the mean square of each input weighs the errors.
  case weighted
  /// Column by column, what rounding one loses made up for by those that follow (GPTQ, arXiv:2210.17323).
  case gptq
}
