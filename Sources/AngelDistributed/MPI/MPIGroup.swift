import CAngelShims

/// Processes of an MPI communicator.
public final class MPIGroup: ProcessGroup {
  public let rank: Int
  public let size: Int
  /// The plug-in's number for the communicator.
  let handle: Int32
  public let scratch = Scratch()
  private let world: MPIWorld

  init(handle: Int32, rank: Int, size: Int, world: MPIWorld) {
    self.handle = handle
    self.rank = rank
    self.size = size
    self.world = world
  }

  public func exchange(
    _ source: UnsafeRawBufferPointer, _ shares: [Range<Int>], into target: UnsafeMutableRawBufferPointer,
    _ purpose: String
  ) throws(DistributedError) {
    let shares = shares.flatMap { [Int64($0.lowerBound), Int64($0.upperBound)] }
    try world.run(purpose) { $0.exchange(handle, source.baseAddress, shares, target.baseAddress) }
  }

  public func gather(
    _ buffer: UnsafeMutableRawBufferPointer, _ bounds: [Int], _ purpose: String
  ) throws(DistributedError) {
    let bounds = bounds.map(Int64.init)
    try world.run(purpose) { $0.gather(handle, buffer.baseAddress, bounds) }
  }

  public func broadcast(
    _ buffer: UnsafeMutableRawBufferPointer, from root: Int, _ purpose: String
  ) throws(DistributedError) {
    // MPI counts in 32 bits.
    for start in stride(from: 0, to: buffer.count, by: 1 << 30) {
      let count = min(1 << 30, buffer.count - start)
      try world.run(purpose, isPatient: true) {
        $0.broadcast(handle, buffer.baseAddress.map { $0 + start }, Int64(count), Int32(root))
      }
    }
  }

  public func barrier(_ purpose: String) throws(DistributedError) { try world.run(purpose) { $0.barrier(handle) } }

  public func send(_ buffer: UnsafeRawBufferPointer, to member: Int, _ purpose: String) throws(DistributedError) {
    for start in stride(from: 0, to: buffer.count, by: 1 << 30) {
      let count = Int64(min(1 << 30, buffer.count - start))
      try world.run(purpose) { $0.send(handle, buffer.baseAddress.map { $0 + start }, count, Int32(member), 0) }
    }
  }

  public func receive(
    _ buffer: UnsafeMutableRawBufferPointer, from member: Int, _ purpose: String
  ) throws(DistributedError) {
    for start in stride(from: 0, to: buffer.count, by: 1 << 30) {
      let count = Int64(min(1 << 30, buffer.count - start))
      try world.run(purpose) { $0.receive(handle, buffer.baseAddress.map { $0 + start }, count, Int32(member), 0) }
    }
  }

  /// Replaces float32 values by their sums over the members with the library's own all-reduce, to compare ours with: the order
  /// of its sums, and so their bits, are the library's.
  public func librarySum(_ buffer: UnsafeMutableRawBufferPointer, _ purpose: String) throws(DistributedError) {
    try world.run(purpose) { $0.sum(handle, buffer.baseAddress, Int64(buffer.count / 4)) }
  }

  public func enter(step: Int) { world.enter(step: step) }

  public func divided(color: Int, key: Int) throws(DistributedError) -> any ProcessGroup {
    try world.divide(handle, color: color, key: key)
  }
}
