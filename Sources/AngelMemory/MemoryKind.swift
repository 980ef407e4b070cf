/// What a piece of memory holds. A page holds one kind only, so that each can be planned, counted and moved alone.
public enum MemoryKind: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  case weights
  case gradients
  case optimizerStates
  case activations
  case keyValueCache
  /// Scratch of kernels and of the schedule: valid during one operation.
  case workspace

  /// The name in tables and JSON.
  public var description: String {
    switch self {
    case .weights: "weights"
    case .gradients: "gradients"
    case .optimizerStates: "optimizer states"
    case .activations: "activations"
    case .keyValueCache: "key-value cache"
    case .workspace: "workspace"
    }
  }
}
