import AngelCore
import Synchronization

/// The door of the engine: counts the tokens that requests in the queue may need, and refuses what is too much.
final class Admission: Sendable {
  fileprivate struct State {
    var nextID: UInt64 = 1
    var queuedTokens = 0
    var isDraining = false
    /// Rows and seconds of late, older ones counting less.
    var rows = 0.0
    var seconds = 0.0
  }

  private let limit: Int
  private let state = Mutex(State())

  /// - Parameter limit: the most tokens in the queue; a request alone in it may be larger.
  init(limit: Int) { self.limit = limit }

  /// Lets a request that may need so many tokens into the queue: its number, which `send` is called with before any other
  /// request or a drain comes through the door.
  func enter(tokens: Int, send: (UInt64) -> Void) throws(ServingRefusal) -> UInt64 {
    try state.withLock { state throws(ServingRefusal) in
      guard !state.isDraining else { throw .draining }
      guard state.queuedTokens == 0 || state.queuedTokens + tokens <= limit else {
        throw .queueFull(
          queuedTokens: state.queuedTokens, limit: limit, retryAfterSeconds: state.retryAfterSeconds(tokens, limit))
      }
      state.queuedTokens += tokens
      let id = state.nextID
      state.nextID += 1
      send(id)
      return id
    }
  }

  /// Notes that a request has left the queue.
  func leave(tokens: Int) { state.withLock { $0.queuedTokens -= tokens } }

  /// Closes the door; `send` is called after all that came through it have been sent.
  func drain(send: () -> Void) {
    state.withLock {
      $0.isDraining = true
      send()
    }
  }

  /// Notes what a step did.
  func measure(rows: Int, seconds: Double) {
    state.withLock {
      $0.rows = $0.rows * 0.95 + Double(rows)
      $0.seconds = $0.seconds * 0.95 + seconds
    }
  }
}

extension Admission.State {
  /// Seconds until a request of so many tokens will fit, at the rate of late; at least 1, at most an hour.
  fileprivate func retryAfterSeconds(_ tokens: Int, _ limit: Int) -> Int {
    guard rows > 0, seconds > 0 else { return 1 }
    let excess = Double(max(0, queuedTokens + min(tokens, limit) - limit))
    return Int(min(max((excess * seconds / rows).rounded(.up), 1), 3600))
  }
}
