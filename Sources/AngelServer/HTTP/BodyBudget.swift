import Synchronization

/// Bytes of all requests' bodies together that a server holds at once.
final class BodyBudget: Sendable {
  private let limit: Int
  private let held = Mutex(0)

  init(limit: Int) { self.limit = limit }

  /// Makes room for so many more; false where that would be too much.
  func take(_ count: Int) -> Bool {
    held.withLock { held in
      guard held + count <= limit else { return false }
      held += count
      return true
    }
  }

  func giveBack(_ count: Int) { held.withLock { $0 -= count } }
}
