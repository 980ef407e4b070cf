/// The block formats of GGUF that values can be rounded to here; others are read alone.
public enum BlockFormat: String, ConfigurationChoice, Sendable {
  case q4_0, q4_1, q5_0, q5_1, q8_0
  case q4_K = "q4_k"
  case q5_K = "q5_k"
  case q6_K = "q6_k"

  public var dtype: DType {
    switch self {
    case .q4_0: .q4_0
    case .q4_1: .q4_1
    case .q5_0: .q5_0
    case .q5_1: .q5_1
    case .q8_0: .q8_0
    case .q4_K: .q4_K
    case .q5_K: .q5_K
    case .q6_K: .q6_K
    }
  }

  /// The same, or where rows of `depth` are no whole blocks of 256 what llama.cpp puts in the place of a K format: the next larger
  /// one with blocks of 32.
  public func format(forRowsOf depth: Int) -> BlockFormat {
    guard depth % dtype.blockElements != 0 else { return self }
    return switch self {
    case .q4_K: .q5_0
    case .q5_K: .q5_1
    case .q6_K: .q8_0
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: self
    }
  }
}
