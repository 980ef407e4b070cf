/// Weights of which at least two of every four consecutive inputs of an output are zero (2:4, arXiv:2104.08378, §3).
extension DType {
  /// What rows of this type are held in when they are 2:4; nil for types whose zeros are not exact, or without kernels.
  public var twoOfFour: DType? {
    switch self {
    case .bfloat16: .bfloat16_2of4
    case .q4_0: .q4_0_2of4
    case .q8_0: .q8_0_2of4
    default: nil
    }
  }

  /// Whether it is the form in memory of 2:4 rows, which no file has.
  public var isTwoOfFour: Bool { self == .bfloat16_2of4 || self == .q4_0_2of4 || self == .q8_0_2of4 }
}
