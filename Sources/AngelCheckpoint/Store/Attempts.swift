import AngelCore
import Glibc

/// Counts the attempts at one thing that brought nothing, and pauses between them.
struct Attempts {
  private let patience: Patience
  private let check: () throws -> Void
  private var fruitless = 0
  private var generator = SystemRandomNumberGenerator()

  /// - Parameter check: called several times a second during pauses; what it throws ends them.
  init(_ patience: Patience, check: @escaping () throws -> Void) {
    self.patience = patience
    self.check = check
  }

  /// Waits before another attempt after `error`, or throws it when there have been enough that brought nothing.
  ///
  /// - Parameters:
  ///   - hasProgress: whether this attempt brought something, which gives all attempts back.
  ///   - head: the answer, which may ask for a wait.
  mutating func pause(after error: any Error, hasProgress: Bool = false, head: HTTPResponseHead? = nil) throws {
    fruitless = hasProgress ? 0 : fruitless + 1
    guard fruitless < patience.attempts else { throw error }
    var seconds = patience.pause(after: fruitless, using: &generator)
    if let asked = head?.wait(now: time(nil)) {
      guard asked <= patience.longestWaitSeconds else { throw error }
      // All that were turned away were told the same moment.
      seconds += Double(asked)
    }
    try patience.wait(seconds, check)
  }

  /// Whether an answer with this status may be different the next time.
  static func isTransient(_ status: Int) -> Bool { status == 408 || status == 429 || (500...599).contains(status) }
}
