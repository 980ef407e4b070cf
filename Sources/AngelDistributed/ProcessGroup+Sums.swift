import CAngelKernels

/// A number type that can be summed over ranks.
public enum ReducedType: Sendable {
  case float32
  case float64
  /// Summed in float32 and rounded once.
  case bfloat16

  /// Bytes of a number.
  public var byteCount: Int {
    switch self {
    case .float32: 4
    case .float64: 8
    case .bfloat16: 2
    }
  }

  /// target = the sum of `ranks` parts that lie one after the other, by rank; begun with target's own values where it goes on.
  func sum(
    _ parts: UnsafeRawPointer, ranks: Int, into target: UnsafeMutableRawPointer, count: Int, goesOn: Bool = false
  ) {
    let (count, ranks, goesOn) = (Int64(count), Int32(ranks), Int32(goesOn ? 1 : 0))
    switch self {
    case .float32:
      angel_rank_sum_f32(
        target.assumingMemoryBound(to: Float.self), parts.assumingMemoryBound(to: Float.self), count, ranks, goesOn)
    case .float64:
      angel_rank_sum_f64(
        target.assumingMemoryBound(to: Double.self), parts.assumingMemoryBound(to: Double.self), count, ranks, goesOn)
    case .bfloat16:
      angel_rank_sum_bf16(
        target.assumingMemoryBound(to: UInt16.self), parts.assumingMemoryBound(to: UInt16.self), count, ranks, goesOn)
    }
  }
}

extension ProcessGroup {
  /// The even shares of `count` things: bounds, one more than members.
  public func evenBounds(_ count: Int) -> [Int] { (0...size).map { count * $0 / size } }

  /// Sums `source` over the members and leaves this member's share in `target`, which may lie in `source`.
  ///
  /// - Parameters:
  ///   - bounds: byte offsets of the shares, multiples of the type's size.
  ///   - goesOn: whether the sum begins with what `target` holds.
  public func reduceScatter(
    _ source: UnsafeRawBufferPointer, _ bounds: [Int], into target: UnsafeMutableRawBufferPointer, _ type: ReducedType,
    goesOn: Bool = false, _ purpose: String
  ) throws(DistributedError) {
    let share = bounds[rank + 1] - bounds[rank]
    precondition(target.count == share, "reduceScatter: \(target.count) bytes for a share of \(share)")
    try withScratch(byteCount: share * size) { parts throws(DistributedError) in
      try exchange(source, bounds, into: parts, purpose)
      guard share > 0, let target = target.baseAddress, let parts = UnsafeRawPointer(parts.baseAddress) else { return }
      type.sum(parts, ranks: size, into: target, count: share / type.byteCount, goesOn: goesOn)
    }
  }

  /// Replaces `buffer` by the sum over the members, by rank: the same bits on every member.
  public func allReduce(
    _ buffer: UnsafeMutableRawBufferPointer, _ type: ReducedType, _ purpose: String
  ) throws(DistributedError) {
    guard size > 1, buffer.count > 0, let base = buffer.baseAddress else { return }
    if buffer.count <= Self.smallByteCount { return try allReduceSmall(buffer, type, purpose) }
    let bounds = evenBounds(buffer.count / type.byteCount).map { $0 * type.byteCount }
    let own = UnsafeMutableRawBufferPointer(rebasing: buffer[bounds[rank]..<bounds[rank + 1]])
    try reduceScatter(UnsafeRawBufferPointer(start: base, count: buffer.count), bounds, into: own, type, purpose)
    try gather(buffer, bounds, purpose)
  }

  /// One round instead of two: everyone gets everything and adds it up.
  private func allReduceSmall(
    _ buffer: UnsafeMutableRawBufferPointer, _ type: ReducedType, _ purpose: String
  ) throws(DistributedError) {
    try withScratch(byteCount: buffer.count * size) { parts throws(DistributedError) in
      UnsafeMutableRawBufferPointer(rebasing: parts[(rank * buffer.count)...]).copyMemory(
        from: UnsafeRawBufferPointer(buffer))
      try gather(parts, (0...size).map { $0 * buffer.count }, purpose)
      guard let target = buffer.baseAddress, let parts = UnsafeRawPointer(parts.baseAddress) else { return }
      type.sum(parts, ranks: size, into: target, count: buffer.count / type.byteCount)
    }
  }

  /// Up to here latency counts more than bytes.
  private static var smallByteCount: Int { 32 << 10 }

  /// The numbers of every member, by rank: all give as many.
  public func gathered(_ numbers: [Double], _ purpose: String) throws(DistributedError) -> [[Double]] {
    let all = try gathered(numbers, (0...size).map { $0 * numbers.count }, purpose)
    return (0..<size).map { Array(all[($0 * numbers.count)..<(($0 + 1) * numbers.count)]) }
  }

  /// The numbers of every member one after the other, `bounds` being those of each, one more than members.
  package func gathered(
    _ numbers: [Double], _ bounds: [Int], _ purpose: String
  ) throws(DistributedError) -> [Double] {
    try withScratch(byteCount: 8 * bounds[size]) { bytes throws(DistributedError) in
      let all = bytes.bindMemory(to: Double.self)
      for (place, number) in zip(bounds[rank]..<bounds[rank + 1], numbers) { all[place] = number }
      try gather(bytes, bounds.map { 8 * $0 }, purpose)
      return Array(all)
    }
  }
}
