/// When in a step what was sent could first go, and when it was first missed: what no order of sending can do better than.
///
/// Times are of computing alone: seconds in which it stood still for others are left out.
public struct StepSchedule: Sendable, Hashable {
  /// What is sent by itself, as if buckets were infinitely small.
  public enum Move: Sendable, Hashable {
    /// Of a parameter's gradient, and of a parameter's new values.
    case gradient(Int)
    case parameter(Int)
    /// Of values that are put together for one use, numbered in the order of uses.
    case use(Int)
  }

  /// What a moment means for a move.
  public enum Happening: Sendable, Hashable {
    /// So many bytes may be sent from now on.
    case ready(byteCount: Int)
    /// Nothing goes on until they have come.
    case needed
  }

  /// A moment of a step that matters to one move.
  public struct Event: Sendable, Hashable {
    /// Of computing since the step began.
    public let seconds: Double
    public let move: Move
    public let happening: Happening

    public init(_ seconds: Double, _ move: Move, _ happening: Happening) {
      (self.seconds, self.move, self.happening) = (seconds, move, happening)
    }
  }

  /// In the order of time.
  public let events: [Event]
  /// How long the step computes.
  public let seconds: Double

  public init(_ events: [Event], seconds: Double) { (self.events, self.seconds) = (events, seconds) }

  /// What all of it takes on a link of this rate.
  public func wireSeconds(bitsPerSecond: Double) -> Double {
    let bytes = events.reduce(0) { sum, event in
      if case .ready(let byteCount) = event.happening { sum + byteCount } else { sum }
    }
    return Double(8 * bytes) / bitsPerSecond
  }

  /// The seconds that a step has to stand still on a link of this rate that carries one thing after the other, each as soon as
  /// it is ready and the one before it has come; of one step among many, for what a step ends with may come during the next.
  public func leastWait(bitsPerSecond: Double) -> Double {
    var arrivals: [Move: Double] = [:]
    var (free, waited, before) = (0.0, 0.0, 0.0)
    for step in 0..<3 {
      before = waited
      for event in events {
        let now = Double(step) * seconds + event.seconds + waited
        switch event.happening {
        case .ready(let byteCount):
          free = max(free, now) + Double(8 * byteCount) / bitsPerSecond
          arrivals[event.move] = free
        case .needed: waited += max(0, (arrivals.removeValue(forKey: event.move) ?? now) - now)
        }
      }
    }
    return waited - before
  }

  /// The share of the wire's time in which computing can go on; nil where nothing is sent.
  public func allowed(bitsPerSecond: Double) -> Double? {
    let wire = wireSeconds(bitsPerSecond: bitsPerSecond)
    return wire > 0 ? max(0, 1 - leastWait(bitsPerSecond: bitsPerSecond) / wire) : nil
  }
}
