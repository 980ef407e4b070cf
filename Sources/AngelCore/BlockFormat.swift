/// The block formats of GGUF that values can be rounded to here; others are read alone.
public enum BlockFormat: String, ConfigurationChoice, Sendable {
  case q4_0, q4_1, q5_0, q5_1, q8_0

  public var dtype: DType {
    switch self {
    case .q4_0: .q4_0
    case .q4_1: .q4_1
    case .q5_0: .q5_0
    case .q5_1: .q5_1
    case .q8_0: .q8_0
    }
  }
}
