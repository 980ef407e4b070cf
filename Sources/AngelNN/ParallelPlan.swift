/// Which parameter splits along which mesh axis: data beside a model, so that models never mention parallelism.
public struct ParallelPlan: Hashable, Sendable {
  /// How one parameter is split over the devices of the tensor axis.
  public enum Split: Hashable, Sendable {
    /// Output features (rows of the weight) are shared out; no communication follows.
    case outputs
    /// Input features (columns of the weight) are shared out; results are summed.
    case inputs
    /// Every device holds all of it.
    case replicated
  }

  /// Splits by parameter path, `*` standing for any layer index; what is not named is replicated.
  public var tensor: [String: Split]

  public init(tensor: [String: Split]) { self.tensor = tensor }
}
