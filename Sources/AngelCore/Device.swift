/// Where a tensor's bytes live.
public enum Device: Hashable, Sendable, CustomStringConvertible {
  case cpu
  case cuda(Int)
  /// No arithmetic: shapes, dtypes and memory only, for planning and tests.
  case shapes

  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .cuda(let index): "cuda:\(index)"
    case .shapes: "shapes"
    }
  }
}
