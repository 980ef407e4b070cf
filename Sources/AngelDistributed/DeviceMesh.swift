/// The processes of a job as a block with named axes: each has a group of those that differ from it along one axis only.
///
/// The last axis changes fastest with the rank, so its members are neighbours: tensor parallelism, which talks most, goes last.
public final class DeviceMesh: Sendable {
  /// Axes with their sizes, those that change slowest first.
  public let axes: [(axis: MeshAxis, size: Int)]
  /// Everyone.
  public let world: any ProcessGroup
  private let groups: [MeshAxis: any ProcessGroup]
  private let coordinates: [MeshAxis: Int]

  /// Every member of `world` calls it with the same axes, whose sizes' product is the world's.
  public init(_ axes: [(axis: MeshAxis, size: Int)], world: any ProcessGroup) throws(DistributedError) {
    let product = axes.reduce(1) { $0 * $1.size }
    guard product == world.size else {
      let words = axes.map { "mesh.\($0.axis.rawValue) \($0.size)" }.joined(separator: " × ")
      throw .launch(
        "\(world.size) \(world.size == 1 ? "process was" : "processes were") launched, but the mesh has \(product) places "
          + "(\(words)): launch as many (mpirun -n \(product)) or change the mesh")
    }
    self.axes = axes
    self.world = world
    var groups: [MeshAxis: any ProcessGroup] = [:]
    var coordinates: [MeshAxis: Int] = [:]
    var stride = world.size
    for (axis, size) in axes {
      stride /= size
      let own = world.rank / stride % size
      coordinates[axis] = own
      // Those that agree in everything else.
      groups[axis] = try world.divided(color: world.rank - own * stride, key: own)
    }
    self.groups = groups
    self.coordinates = coordinates
  }

  /// How many places there are along an axis.
  public func size(of axis: MeshAxis) -> Int { axes.first { $0.axis == axis }?.size ?? 1 }

  /// This process's place along an axis.
  public func place(along axis: MeshAxis) -> Int { coordinates[axis] ?? 0 }

  /// Those that differ from this process along `axis` only, this one included; nil where the mesh has no such axis.
  public func group(along axis: MeshAxis) -> (any ProcessGroup)? { groups[axis] }
}
