public import AngelCore

/// Why processes cannot work together, or no longer.
public enum DistributedError: DescribedError, Equatable {
  /// There is no library to send with; the text says what to install.
  case unavailable(String)
  /// What was launched does not fit what was asked for.
  case launch(String)
  /// The library refused; the text is its own.
  case refused(collective: String, reason: String)
  /// A process has gone, or does not come.
  case lost(LostRank)
  /// Another member of an in-process group gave up.
  case closed(String)

  public var description: String {
    switch self {
    case .unavailable(let text), .launch(let text): text
    case .refused(let collective, let reason): "\(collective): \(reason)"
    case .lost(let lost): lost.description
    case .closed(let reason): "another member of the group has ended: \(reason)"
    }
  }
}

/// A process that the others wait for in vain.
public struct LostRank: Hashable, Sendable, CustomStringConvertible {
  /// What is known of it.
  public enum Condition: Hashable, Sendable {
    /// Its process has ended.
    case ended
    /// It has not shown a sign of life for so many seconds: stopped, or its host is gone.
    case silent(seconds: Int)
    /// It lives but has not come to a collective for so many seconds.
    case late(seconds: Int)
  }

  public var rank: Int
  public var worldSize: Int
  public var host: String
  public var process: Int
  /// The training step in hand, counted from 1; 0 outside of training.
  public var step: Int
  /// What the others wait in.
  public var collective: String
  public var condition: Condition

  public var description: String {
    let what =
      switch condition {
      case .ended: "has ended"
      case .silent(let seconds): "has shown no sign of life for \(seconds) s"
      case .late(let seconds): "has not come for \(seconds) s"
      }
    return "rank \(rank) of \(worldSize) on host \(host) (process \(process)) \(what); step \(step), \(collective); "
      + "the job ends: look at that host, then go on with --resume"
  }
}
