import Synchronization

/// What links have carried, by purpose.
public final class Meter: Sendable {
  /// Bytes that went to others, and the seconds that took.
  public struct Count: Sendable, Hashable {
    public var bytes = 0
    public var seconds = 0.0

    public init() {}
  }

  private let counts = Mutex<[String: Count]>([:])

  public init() {}

  func add(_ bytes: Int, _ seconds: Double, _ purpose: String) {
    counts.withLock { counts in
      counts[purpose, default: Count()].bytes += bytes
      counts[purpose, default: Count()].seconds += seconds
    }
  }

  /// The sum of all purposes that `isCounted` accepts.
  public func total(where isCounted: (String) -> Bool = { _ in true }) -> Count {
    counts.withLock { counts in
      counts.filter { isCounted($0.key) }.values.reduce(into: Count()) { sum, count in
        sum.bytes += count.bytes
        sum.seconds += count.seconds
      }
    }
  }

  /// Begins from nothing again.
  public func reset() { counts.withLock { $0 = [:] } }
}
