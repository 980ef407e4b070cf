import AngelCore
import Glibc

/// A group behind a link that is measured and, if wanted, held to a number of bits a second.
///
/// Counts the bytes that this member puts on the wire: what it sends to others, never what stays with it. A held link takes
/// at least as long as those bytes need at its rate, as a full-duplex network card does.
public final class Link: ProcessGroup {
  private let group: any ProcessGroup
  private let pace: Pace?
  /// What it has carried, groups made of it included.
  public let meter: Meter

  /// - Parameter pace: the rate it is held to; nil: as fast as it goes.
  public init(_ group: any ProcessGroup, pace: Pace? = nil, meter: Meter = Meter()) {
    self.group = group
    self.pace = pace
    self.meter = meter
  }

  public var rank: Int { group.rank }
  public var size: Int { group.size }
  public var scratch: Scratch { group.scratch }

  private func measured(
    _ purpose: String, sends bytes: Int, receives: Int, _ body: () throws(DistributedError) -> Void
  ) throws(DistributedError) {
    guard let pace else {
      try body()
      return meter.add(bytes, purpose)
    }
    // What is waited for is not on the wire: its time begins when everyone has come.
    try group.barrier(purpose)
    let end = MonotonicClock.seconds() + pace.seconds(max(bytes, receives))
    try body()
    let rest = end - MonotonicClock.seconds()
    if rest > 0 { usleep(UInt32(min(rest * 1e6, 4e9))) }
    meter.add(bytes, purpose)
  }

  public func exchange(
    _ source: UnsafeRawBufferPointer, _ shares: [Range<Int>], into target: UnsafeMutableRawBufferPointer,
    _ purpose: String
  ) throws(DistributedError) {
    let own = shares[rank].count
    try measured(purpose, sends: shares.reduce(-own) { $0 + $1.count }, receives: own * (size - 1)) {
      () throws(DistributedError) in
      try group.exchange(source, shares, into: target, purpose)
    }
  }

  public func gather(
    _ buffer: UnsafeMutableRawBufferPointer, _ bounds: [Int], _ purpose: String
  ) throws(DistributedError) {
    let own = bounds[rank + 1] - bounds[rank]
    try measured(purpose, sends: own * (size - 1), receives: bounds[size] - bounds[0] - own) {
      () throws(DistributedError) in
      try group.gather(buffer, bounds, purpose)
    }
  }

  public func broadcast(
    _ buffer: UnsafeMutableRawBufferPointer, from root: Int, _ purpose: String
  ) throws(DistributedError) {
    try measured(
      purpose, sends: rank == root ? buffer.count * (size - 1) : 0, receives: rank == root ? 0 : buffer.count
    ) {
      () throws(DistributedError) in
      try group.broadcast(buffer, from: root, purpose)
    }
  }

  public func barrier(_ purpose: String) throws(DistributedError) { try group.barrier(purpose) }

  public func send(_ buffer: UnsafeRawBufferPointer, to member: Int, _ purpose: String) throws(DistributedError) {
    try measured(purpose, sends: buffer.count, receives: 0) { () throws(DistributedError) in
      try group.send(buffer, to: member, purpose)
    }
  }

  public func receive(
    _ buffer: UnsafeMutableRawBufferPointer, from member: Int, _ purpose: String
  ) throws(DistributedError) {
    try group.receive(buffer, from: member, purpose)
  }

  public func enter(step: Int) { group.enter(step: step) }

  /// A link at the same rate, counted here.
  public func divided(color: Int, key: Int) throws(DistributedError) -> any ProcessGroup {
    Link(try group.divided(color: color, key: key), pace: pace, meter: meter)
  }
}
