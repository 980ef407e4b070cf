public import AngelCore
public import AngelDistributed

/// How a run is shared out over processes; what is learnt does not depend on it.
public struct MeshConfiguration: Configurable, Hashable {
  /// Processes that read different rows.
  public var data = 1
  /// What those hold a share of, each more than the one before (arXiv:1910.02054): 0 nothing, 1 optimizer states, 2 gradients,
  /// 3 parameters.
  public var zero = 0
  /// Processes that share out each layer's heads and inner features, and the rows between layers.
  public var tensor = 1
  /// MiB of gradients that are sent together.
  public var bucket = 4.0
  /// Seconds that the others wait for a process that lives.
  public var patience = 600.0
  /// Seconds without a sign of life after which a process is taken for lost.
  public var silence = 30.0

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("data", \.data, in: 1...65_536, "processes that read different rows (mpirun -n as many)"),
    .value("zero", \.zero, in: 0...3, "what those share out: 1 optimizer states, 2 gradients too, 3 parameters too"),
    .value("tensor", \.tensor, in: 1...1024, "processes that share out the layers' heads and inner features"),
    .value("bucket", \.bucket, in: 0...4096, "MiB of gradients that are sent together"),
    .value("patience", \.patience, in: 1...1e6, "seconds that others wait for a process that lives"),
    .value("silence", \.silence, in: 1...1e6, "seconds without a sign of life before a process is taken for lost"),
  ]

  public func problems() -> [String] {
    zero > 0 && data == 1 ? ["mesh.zero is \(zero), but mesh.data is 1: there is nobody to share with"] : []
  }

  /// The axes of the mesh; those that talk most are neighbours.
  public var axes: [(axis: MeshAxis, size: Int)] { [(.data, data), (.tensor, tensor)] }

  /// How many processes there are.
  public var processCount: Int { data * tensor }
}
