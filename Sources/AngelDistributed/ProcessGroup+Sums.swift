import CAngelKernels

extension ProcessGroup {
  /// The even shares of `count` things: bounds, one more than members.
  public func evenBounds(_ count: Int) -> [Int] { (0...size).map { count * $0 / size } }

  /// Sums float32 values of `source` over the members and leaves this member's share in `target`, which may lie in `source`.
  ///
  /// - Parameters:
  ///   - bounds: byte offsets of the shares, multiples of 4.
  ///   - goesOn: whether the sum begins with what `target` holds.
  public func reduceScatter(
    _ source: UnsafeRawBufferPointer, _ bounds: [Int], into target: UnsafeMutableRawBufferPointer,
    goesOn: Bool = false, _ purpose: String
  ) throws(DistributedError) {
    let shares = (0..<size).map { bounds[$0]..<bounds[$0 + 1] }
    precondition(target.count == shares[rank].count, "reduceScatter: \(target.count) bytes for \(shares[rank].count)")
    let longest = shares.reduce(0) { max($0, $1.count) }
    let pieces = (longest * size + pieceByteCount - 1) / pieceByteCount
    for piece in 0..<pieces {
      let own = shares[rank].piece(piece, of: pieces)
      try scratch.withBytes(own.count * size) { parts throws(DistributedError) in
        try exchange(source, shares.map { $0.piece(piece, of: pieces) }, into: parts, purpose)
        add(parts, into: UnsafeMutableRawBufferPointer(rebasing: target[own.moved(by: -bounds[rank])]), goesOn: goesOn)
      }
    }
  }

  /// Replaces float32 values in `buffer` by their sum over the members, by rank: the same bits on every member.
  public func allReduce(_ buffer: UnsafeMutableRawBufferPointer, _ purpose: String) throws(DistributedError) {
    guard size > 1, buffer.count > 0 else { return }
    if buffer.count <= smallByteCount { return try allReduceSmall(buffer, purpose) }
    let pieces = (buffer.count + pieceByteCount - 1) / pieceByteCount
    for piece in 0..<pieces {
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[(0..<buffer.count).piece(piece, of: pieces)])
      let bounds = evenBounds(part.count / 4).map { $0 * 4 }
      let own = UnsafeMutableRawBufferPointer(rebasing: part[bounds[rank]..<bounds[rank + 1]])
      try reduceScatter(UnsafeRawBufferPointer(part), bounds, into: own, purpose)
      try gather(part, bounds, purpose)
    }
  }

  /// One round instead of two: everyone gets everything and adds it up.
  private func allReduceSmall(
    _ buffer: UnsafeMutableRawBufferPointer, _ purpose: String
  ) throws(DistributedError) {
    try scratch.withBytes(buffer.count * size) { parts throws(DistributedError) in
      UnsafeMutableRawBufferPointer(rebasing: parts[(rank * buffer.count)...]).copyMemory(
        from: UnsafeRawBufferPointer(buffer))
      try gather(parts, (0...size).map { $0 * buffer.count }, purpose)
      add(parts, into: buffer)
    }
  }

  /// Leaves in `target` the sum of the members' parts, which lie one after the other.
  private func add(
    _ parts: UnsafeMutableRawBufferPointer, into target: UnsafeMutableRawBufferPointer, goesOn: Bool = false
  ) {
    guard target.count > 0, let sums = target.bindMemory(to: Float.self).baseAddress,
      let values = parts.bindMemory(to: Float.self).baseAddress
    else { return }
    angel_rank_sum(sums, values, Int64(target.count / 4), Int32(size), goesOn ? 1 : 0)
  }

  /// Up to here latency counts more than bytes.
  private var smallByteCount: Int { 32 << 10 }
  /// What is exchanged at once, so that it is summed while it lies in the caches.
  private var pieceByteCount: Int { 4 << 20 }

  /// The numbers of every member, by rank: all give as many.
  public func gathered(_ numbers: [Double], _ purpose: String) throws(DistributedError) -> [[Double]] {
    let all = try gathered(numbers, (0...size).map { $0 * numbers.count }, purpose)
    return (0..<size).map { Array(all[($0 * numbers.count)..<(($0 + 1) * numbers.count)]) }
  }

  /// The numbers of every member one after the other, `bounds` being those of each, one more than members.
  package func gathered(
    _ numbers: [Double], _ bounds: [Int], _ purpose: String
  ) throws(DistributedError) -> [Double] {
    try scratch.withBytes(8 * bounds[size]) { bytes throws(DistributedError) in
      let all = bytes.bindMemory(to: Double.self)
      for (place, number) in zip(bounds[rank]..<bounds[rank + 1], numbers) { all[place] = number }
      try gather(bytes, bounds.map { 8 * $0 }, purpose)
      return Array(all)
    }
  }
}

extension Range<Int> {
  /// One of `count` even pieces of a range of float32 values, all in bytes.
  fileprivate func piece(_ number: Int, of count: Int) -> Self {
    let values = self.count / 4
    return (lowerBound + values * number / count * 4)..<(lowerBound + values * (number + 1) / count * 4)
  }

  fileprivate func moved(by offset: Int) -> Self { (lowerBound + offset)..<(upperBound + offset) }
}
