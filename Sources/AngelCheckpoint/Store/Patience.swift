import AngelCore

/// How patient requests are.
struct Patience: Sendable {
  /// Attempts in a row that bring nothing before it is given up.
  var attempts = 5
  /// The pause after the first of them; each further one is twice as long, up to a minute, with a random part.
  var pauseSeconds = 1.0
  /// A server that asks for a longer wait than this is not waited for.
  var longestWaitSeconds = 330
  var connectSeconds = 30
  /// A connection that brings less than 1 kB a second for so long is cut.
  var stallSeconds = 60
  /// Waits, calling `check` several times a second, and throws what it throws.
  var wait: @Sendable (_ seconds: Double, _ check: () throws -> Void) throws -> Void = { try Self.sleep($0, $1) }

  private static func sleep(_ seconds: Double, _ check: () throws -> Void) throws {
    let end = MonotonicClock.seconds() + seconds
    while case let left = end - MonotonicClock.seconds(), left > 0 {
      try check()
      FileOperations.sleep(seconds: min(0.1, left))
    }
  }

  /// The pause after `failures` fruitless attempts: doubled each time, between half and all of it by chance, so that
  /// many clients that were turned away together do not come back together.
  func pause(after failures: Int, using generator: inout some RandomNumberGenerator) -> Double {
    let doublings = max(0, min(failures, 16) - 1)
    return min(pauseSeconds * Double(1 << doublings), 60) * Double.random(in: 0.5...1, using: &generator)
  }
}
