import Glibc

/// A member of a group of threads in one process: for tests, where every layout must give what one process gives.
///
/// Deterministic: bytes are copied between members' buffers while all of them wait.
public final class ThreadGroup: ProcessGroup {
  public let rank: Int
  public var size: Int { meeting.size }
  public let scratch = Scratch()
  private let meeting: Meeting

  private init(_ rank: Int, _ meeting: Meeting) {
    self.rank = rank
    self.meeting = meeting
  }

  /// The members of a new group, by rank. A member who waits for more than `timeout` seconds fails, naming one who is missing.
  public static func members(_ count: Int, timeout: Double = 60) -> [ThreadGroup] {
    let meeting = Meeting(size: count, timeout: timeout)
    return (0..<count).map { ThreadGroup($0, meeting) }
  }

  /// Says that this member ends early: whoever waits for it, now or later, fails with `reason`.
  public func leave(_ reason: String) { meeting.close(reason) }

  public func exchange(
    _ source: UnsafeRawBufferPointer, _ shares: [Range<Int>], into target: UnsafeMutableRawBufferPointer,
    _ purpose: String
  ) throws(DistributedError) {
    let share = shares[rank]
    try meeting.meet(rank, .reads(source), purpose) { entries in
      for (member, entry) in entries.enumerated() {
        Self.copy(entry.bytes[share], into: target, at: member * share.count)
      }
    }
  }

  public func gather(
    _ buffer: UnsafeMutableRawBufferPointer, _ bounds: [Int], _ purpose: String
  ) throws(DistributedError) {
    try meeting.meet(rank, .reads(UnsafeRawBufferPointer(buffer)), purpose) { entries in
      for (member, entry) in entries.enumerated() where member != rank {
        Self.copy(entry.bytes[bounds[member]..<bounds[member + 1]], into: buffer, at: bounds[member])
      }
    }
  }

  public func broadcast(
    _ buffer: UnsafeMutableRawBufferPointer, from root: Int, _ purpose: String
  ) throws(DistributedError) {
    try meeting.meet(rank, .reads(UnsafeRawBufferPointer(buffer)), purpose) { entries in
      if rank != root { Self.copy(entries[root].bytes[...], into: buffer, at: 0) }
    }
  }

  public func barrier(_ purpose: String) throws(DistributedError) {
    try meeting.meet(rank, .nothing, purpose) { _ in }
  }

  public func send(_ buffer: UnsafeRawBufferPointer, to member: Int, _ purpose: String) throws(DistributedError) {
    meeting.post(Array(buffer), from: rank, to: member)
  }

  public func receive(
    _ buffer: UnsafeMutableRawBufferPointer, from member: Int, _ purpose: String
  ) throws(DistributedError) {
    let bytes = try meeting.fetch(from: member, to: rank, purpose)
    precondition(bytes.count == buffer.count, "receive: \(bytes.count) bytes for a buffer of \(buffer.count)")
    bytes.withUnsafeBytes { Self.copy($0[...], into: buffer, at: 0) }
  }

  public func divided(color: Int, key: Int) throws(DistributedError) -> any ProcessGroup {
    let own = try meeting.meet(rank, .joins(color: color, key: key), "dividing the group") { entries in
      let members = entries.indices.filter { entries[$0].color == color }
        .sorted { (entries[$0].key, $0) < (entries[$1].key, $1) }
      return (rank: members.firstIndex(of: rank) ?? 0, meeting: meeting.child(color: color, size: members.count))
    }
    return ThreadGroup(own.rank, own.meeting)
  }

  private static func copy(
    _ source: Slice<UnsafeRawBufferPointer>, into target: UnsafeMutableRawBufferPointer, at offset: Int
  ) {
    UnsafeMutableRawBufferPointer(rebasing: target[offset..<(offset + source.count)])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
  }
}
