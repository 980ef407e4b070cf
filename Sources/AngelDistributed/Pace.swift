import Synchronization

/// The rate that links are held to, which may be changed between steps.
///
/// Members may notice a change at different collectives: a paced link does the same at every rate, the free one
/// included.
public final class Pace: Sendable {
  private let rate: Mutex<Double>

  /// - Parameter bitsPerSecond: nil: as fast as it goes.
  public init(bitsPerSecond: Double? = nil) { rate = Mutex(Self.checked(bitsPerSecond)) }

  /// Holds links to another rate from their next collective on; nil: as fast as they go.
  public func hold(to bitsPerSecond: Double?) {
    let wanted = Self.checked(bitsPerSecond)
    rate.withLock { $0 = wanted }
  }

  func seconds(_ byteCount: Int) -> Double { Double(8 * byteCount) / rate.withLock { $0 } }

  private static func checked(_ bitsPerSecond: Double?) -> Double {
    precondition(bitsPerSecond ?? 1 > 0, "a link of \(bitsPerSecond ?? 0) bits per second")
    return bitsPerSecond ?? .infinity
  }
}
