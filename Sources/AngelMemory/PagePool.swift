import Synchronization

/// Hands out contiguous memory from the pages of one arena: one pool under everything, counted by kind.
///
/// Large regions get the tightest run of whole pages, small ones share pages of their kind. Where those hold memory there is
/// no system call; a run that does not takes one for each page that is moved there. All methods may be called from any thread.
public final class PagePool: Sendable {
  /// The memory itself.
  public let arena: HostArena
  private let state: Mutex<PoolState>

  /// A pool over a new arena of `budget` bytes (nil: `MachineMemory.current().defaultBudget`).
  public convenience init(budget: Int? = nil) throws(MemoryError) {
    self.init(arena: try HostArena(budget: budget))
  }

  /// A pool over `arena`, which must have no other user.
  public init(arena: HostArena) {
    self.arena = arena
    state = Mutex(PoolState())
  }

  /// The address that offsets of regions and blocks count from.
  public var baseAddress: UnsafeMutableRawPointer { arena.base }
  /// Bytes this pool may use.
  public var budget: Int { arena.budget }

  /// `byteCount` bytes, 64-byte aligned, contents undefined; throws `.exhausted` beyond the budget.
  ///
  /// Pages are touched, which takes about a millisecond each, only when fewer are free than are wanted: the memory of free
  /// ones is moved to where a longer run is wanted.
  public func allocate(byteCount: Int, kind: MemoryKind) throws(MemoryError) -> MemoryRegion {
    precondition(byteCount >= 0, "a region of \(byteCount) bytes")
    return try state.withLock { state throws(MemoryError) -> MemoryRegion in
      try state.allocate(byteCount, kind, in: arena)
    }
  }

  /// Gives a region back; its bytes may be handed out again at once. Traps when it is not in use.
  public func release(_ region: MemoryRegion) {
    state.withLock { $0.release(region) }
  }

  /// Makes the free whole pages at least `byteCount` bytes now, so that later requests need no touching.
  public func reserve(byteCount: Int) throws(MemoryError) {
    precondition(byteCount >= 0, "a reserve of \(byteCount) bytes")
    try state.withLock { state throws(MemoryError) in try state.reserve(byteCount, in: arena) }
  }

  /// How much is in use now and was at most, by kind.
  public var usage: MemoryUsage { state.withLock { $0.usage(in: arena) } }

  /// Walks the whole bookkeeping, for tests; throws `.invariant` naming the first contradiction.
  public func checkInvariants() throws(MemoryError) {
    try state.withLock { state throws(MemoryError) in try state.checkInvariants(arena) }
  }
}
