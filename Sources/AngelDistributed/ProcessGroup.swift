/// Processes, or threads in tests, that exchange bytes: each calls the same collectives in the same order.
///
/// A group only moves bytes; sums over ranks are made here (`ProcessGroup+Sums.swift`), in the order of the ranks, so results
/// do not depend on what carried them. Calls block; `CollectiveQueue` lets them run beside the caller's work. Buffers are the
/// caller's own memory, sent from and received into where they lie. `purpose` is named when a call fails.
///
/// `bounds` are byte offsets, one more than members: the share of member r is bytes `bounds[r]..<bounds[r + 1]`.
public protocol ProcessGroup: AnyObject, Sendable {
  /// This member's number, from 0.
  var rank: Int { get }
  /// How many members there are.
  var size: Int { get }
  /// For this member's exchanges.
  var scratch: Scratch { get }

  /// Gives every member its share of `source` and receives every member's bytes for this one, in rank order, into `target`,
  /// which lies apart from `source`: a reduce-scatter without the sum. All members have the same shares, by rank.
  func exchange(
    _ source: UnsafeRawBufferPointer, _ shares: [Range<Int>], into target: UnsafeMutableRawBufferPointer,
    _ purpose: String
  ) throws(DistributedError)

  /// Fills in the shares of the others; this member's own is in place already.
  func gather(_ buffer: UnsafeMutableRawBufferPointer, _ bounds: [Int], _ purpose: String) throws(DistributedError)

  /// Gives everyone the bytes of `root`. The others wait as long as it lives: its work may come before, such as files it writes.
  func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int, _ purpose: String) throws(DistributedError)

  /// Returns when every member has come.
  func barrier(_ purpose: String) throws(DistributedError)

  /// Sends bytes to one member, which receives them.
  func send(_ buffer: UnsafeRawBufferPointer, to member: Int, _ purpose: String) throws(DistributedError)

  /// Receives as many bytes as one member sends.
  func receive(_ buffer: UnsafeMutableRawBufferPointer, from member: Int, _ purpose: String) throws(DistributedError)

  /// Says which training step is in hand, for the line that names this member when it is lost.
  func enter(step: Int)

  /// The group of the members that give the same color, ordered by key; every member calls it.
  func divided(color: Int, key: Int) throws(DistributedError) -> any ProcessGroup
}

extension ProcessGroup {
  public func enter(step: Int) {}
}
