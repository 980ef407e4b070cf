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

  /// Splits of weights by path, `*` standing for any layer index. A bias goes with the outputs of its layer; what is not named is
  /// everywhere, as all that belongs to the vocabulary is.
  public var tensor: [String: Split]
  /// The norms before layers whose outputs are shared out, by path: each process has some rows of the residual stream, and
  /// these norms hand on the rows of all (sequence parallelism, arXiv:2205.05198, §4.2.2). None: such a family cannot be shared
  /// out yet.
  public var gathering: [String]

  public init(gathering: [String], tensor: [String: Split]) {
    self.gathering = gathering
    self.tensor = tensor
  }

  /// How the parameter at `path` is split.
  public func split(of path: String) -> Split {
    tensor[path] ?? tensor.first { Self.matches($0.key, path) }?.value ?? .replicated
  }

  /// Whether the norm at `path` hands on the rows of all processes.
  public func gathers(_ path: String) -> Bool { gathering.contains { Self.matches($0, path) } }

  private static func matches(_ pattern: String, _ path: String) -> Bool {
    let (parts, words) = (pattern.split(separator: "."), path.split(separator: "."))
    return parts.count == words.count && zip(parts, words).allSatisfy { $0 == "*" || $0 == $1 }
  }
}
