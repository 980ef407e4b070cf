import AngelCore
import AngelDistributed
import AngelHCF

/// Processes that run one model together. They take the same steps, so what decides about steps is the same on all: the first
/// one's.
struct PeerWorld {
  private let world: MPIWorld
  let peers: GroupPeers

  init(_ world: MPIWorld) {
    self.world = world
    peers = GroupPeers(world.group)
  }

  var isFirst: Bool { world.rank == 0 }

  /// The first process's number on all.
  func agreed(_ number: Int) throws -> Int { try world.group.passed(number, "settings of the first process") }

  /// The first process's tokens on all.
  func agreed(_ tokens: [Int32]) throws -> [Int32] {
    let count = try agreed(tokens.count)
    var result = isFirst ? tokens : [Int32](repeating: 0, count: count)
    try result.withUnsafeMutableBytes { try world.group.broadcast($0, from: 0, "the first process's prompt") }
    return result
  }

  /// Whether any process was asked to stop; every one asks at the same step.
  func anyone(_ isAsked: Bool) -> Bool {
    // A failure shows in the step that follows.
    (try? world.group.gathered([isAsked ? 1 : 0], "requests to stop").contains([1])) ?? true
  }

  /// Says that this process needs nothing more of the others.
  func leave() throws { try world.leave() }
}
