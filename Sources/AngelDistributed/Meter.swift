import Synchronization

/// The bytes that links have sent to others, by purpose.
public final class Meter: Sendable {
  private let counts = Mutex<[String: Int]>([:])

  public init() {}

  func add(_ bytes: Int, _ purpose: String) { counts.withLock { $0[purpose, default: 0] += bytes } }

  /// The bytes of all purposes that `isCounted` accepts.
  public func total(where isCounted: (String) -> Bool = { _ in true }) -> Int {
    counts.withLock { counts in counts.filter { isCounted($0.key) }.values.reduce(0, +) }
  }

  /// Begins from nothing again.
  public func reset() { counts.withLock { $0 = [:] } }
}
