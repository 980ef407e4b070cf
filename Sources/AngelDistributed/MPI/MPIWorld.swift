public import AngelCore
import CAngelShims
import Glibc
import Synchronization

/// The processes that `mpirun` or `srun` started together, as MPI knows them.
///
/// Every call of MPI is made under one lock, so any thread may work with the groups, and none waits for long: what waits polls,
/// and while it does, a watch looks after the others (`Watch`). Once one of them is lost, MPI is not called any more: what is
/// on its way cannot be called back, and must not write to memory that its owner has meanwhile given up.
public final class MPIWorld: Sendable {
  /// How long to wait for others.
  public struct Patience: Sendable {
    /// Seconds that a living process may be late for a collective.
    public var late: Double
    /// Seconds without a sign of life after which a process is taken for lost.
    public var silent: Double

    public init(late: Double = 600, silent: Double = 30) {
      self.late = late
      self.silent = silent
    }
  }

  /// This process's number and how many there are.
  public let rank: Int
  public let size: Int
  /// The name and version of the library.
  public let library: String
  private let lock = Mutex<Void>(())
  private let watch: Watch

  /// Joins the others; returns when all have come.
  ///
  /// - Throws: `DistributedError` when MPI is not installed, or what it says of the launch differs from the launcher's variables.
  public init(_ environment: Environment, patience: Patience, interruption: Interruption) throws {
    try MPIPlugin.open(environment, interruption)
    let functions = angel_mpi().pointee
    var (rank, size): (Int32, Int32) = (0, 0)
    guard functions.join(&rank, &size) >= 0 else {
      throw DistributedError.unavailable("MPI does not start: \(Self.text(functions.error()))")
    }
    (self.rank, self.size) = (Int(rank), Int(size))
    library = String(Self.text(functions.library()).prefix { $0 != "," && $0 != "\n" })
    if let place = environment.launchPlace, (place.rank, place.size) != (self.rank, self.size) {
      throw DistributedError.launch(
        "the launcher says rank \(place.rank) of \(place.size), MPI says \(rank) of \(size): mpirun is of another MPI than "
          + "mpicc (\(library)); put the bin folder of one of them first in PATH")
    }
    watch = Watch(rank: self.rank, size: self.size, patience: patience)
    try watch.introduce(group)
    try watch.begin(self, group: try divide(0, color: 0, key: self.rank).handle)
  }

  /// Everyone.
  public var group: MPIGroup { MPIGroup(handle: 0, rank: rank, size: size, world: self) }

  /// Tells the others where this process is, for the line that names it when it is lost.
  func enter(step: Int) { watch.enter(step: step) }

  /// Leaves MPI; every process calls it at its end. Without it the launcher takes the end of a process for a failure.
  ///
  /// The first process may have files to finish: the others wait for it, and say meanwhile that they live.
  public func leave() throws(DistributedError) {
    try run("the end of the job", isPatient: true) { $0.barrier(0) }
    watch.end(self)
    try group.barrier("the end of the job")
    watch.forget(self)
    try started("the end of the job") { $0.finalize() }
  }

  private static func text(_ pointer: UnsafePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }

  // MARK: For groups

  /// Makes one call of MPI, unless somebody is lost.
  @discardableResult
  func started(
    _ purpose: String, _ call: (angel_mpi_functions) -> Int32
  ) throws(DistributedError) -> Int32 {
    let made: (result: Int32, reason: String)? = lock.withLock { _ in
      guard !watch.hasLost else { return nil }
      let functions = angel_mpi().pointee
      let result = call(functions)
      return (result, result < 0 ? Self.text(functions.error()) : "")
    }
    if made == nil, let lost = watch.lost(in: purpose) { throw lost }
    guard let made, made.result >= 0 else { throw .refused(collective: purpose, reason: made?.reason ?? "") }
    return made.result
  }

  /// Starts something and returns when it is done.
  ///
  /// - Parameter isPatient: whether others may take as long as they live; else a late one is lost.
  func run(
    _ purpose: String, isPatient: Bool = false, _ start: (angel_mpi_functions) -> Int32
  ) throws(DistributedError) {
    let ticket = watch.waits(isPatient: isPatient)
    defer { watch.came(ticket) }
    let request = try started(purpose, start)
    // Beside a thread that computes, yielding would give the core away for a whole slice of time; who has slept gets it back.
    let shortCount = CollectiveQueue.isBesideOthers ? 0 : 200
    var polls = 0
    while try started(purpose, { $0.test(request) }) == 0 {
      polls += 1
      // Short ones end at once; in longer ones the processor belongs to whoever computes.
      if polls < shortCount { sched_yield() } else { usleep(polls < 2000 ? 20 : 200) }
    }
  }

  /// Waits for all members of the group.
  func divide(_ handle: Int32, color: Int, key: Int) throws(DistributedError) -> MPIGroup {
    // The division itself waits inside of MPI, with the lock held, where no watch can look: only once all are there. A member
    // that ends in the instant between the two leaves the others to the launcher.
    try run("dividing the group") { $0.barrier(handle) }
    var (rank, size): (Int32, Int32) = (0, 0)
    let made = try started("dividing the group") {
      $0.divide(handle, Int32(clamping: color), Int32(clamping: key), &rank, &size)
    }
    return MPIGroup(handle: made, rank: Int(rank), size: Int(size), world: self)
  }
}
