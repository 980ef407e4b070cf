import Synchronization

/// Thrown where long work notices that the user asked it to stop; the command line exits with 130.
public struct Interrupted: DescribedError {
  public init() {}
  public var description: String { "interrupted" }
}

/// Whether the user asked the running work to stop (Ctrl-C). Passed to whatever runs long; never global.
///
/// Work that must clean up runs inside `deferred`, polls `isRequested` or calls `check`, and stops by itself.
/// Outside of it there is nothing to clean up, and the listener may end the process at once.
public final class Interruption: Sendable {
  private let requested = Atomic<Bool>(false)
  private let forGood = Atomic<Bool>(false)
  private let deferrals = Atomic<Int>(0)

  public init() {}

  /// Whether a stop has been asked for and not been taken note of by `clear`.
  public var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// Whether some work has promised to stop by itself.
  public var isDeferred: Bool { deferrals.load(ordering: .acquiring) > 0 }

  /// Whether the program is to end, not only what it is doing: `clear` does not forget it.
  public var isForGood: Bool { forGood.load(ordering: .acquiring) }

  /// Asks for a stop, `forGood` of the whole program; false when one had been asked for already.
  @discardableResult
  public func request(forGood isForGood: Bool = false) -> Bool {
    if isForGood { forGood.store(true, ordering: .releasing) }
    return !requested.exchange(true, ordering: .acquiringAndReleasing)
  }

  /// Forgets the request: the work it was meant for has stopped and the program goes on.
  public func clear() {
    if !isForGood { requested.store(false, ordering: .releasing) }
  }

  /// Throws `Interrupted` once a stop has been asked for.
  public func check() throws(Interrupted) { if isRequested { throw Interrupted() } }

  /// Runs `body`, which promises to poll this object and to stop by itself.
  public func deferred<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    deferrals.add(1, ordering: .acquiringAndReleasing)
    defer { deferrals.subtract(1, ordering: .acquiringAndReleasing) }
    return try body()
  }
}
