import AngelCore
import AngelDistributed
import AngelTensor

/// Checkpoints hold whole tensors: the first process asks its peers for their parts, each of which leads those that read other
/// batches with the same part.
extension TensorLayout {
  func shape(of value: StoredValue) -> Shape {
    var shape = value.shape
    if let axis = axes[value.index] { shape[axis] *= group.size }
    return shape
  }

  func restore(_ value: StoredValue, from bytes: UnsafeRawBufferPointer) {
    guard let axis = axes[value.index] else { return inner.restore(value, from: bytes) }
    var part = [UInt8](repeating: 0, count: value.byteCount)
    part.withUnsafeMutableBytes { part in
      forEachStretch(of: value, axis, place: group.rank) { whole, own, count in
        UnsafeMutableRawBufferPointer(rebasing: part[own..<(own + count)]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[whole..<(whole + count)]))
      }
    }
    part.withUnsafeBytes { inner.restore(value, from: $0) }
  }

  /// The stretches of a process's part of a value: where they begin in the whole and in the part, in bytes.
  private func forEachStretch(
    of value: StoredValue, _ axis: Int, place: Int, _ body: (_ whole: Int, _ part: Int, _ count: Int) -> Void
  ) {
    let sizes = value.shape.array
    // The axis and everything after it is one stretch; what is before it repeats.
    let stretch = sizes[axis...].reduce(1, *) * value.dtype.byteCount(of: 1)
    for row in 0..<sizes[..<axis].reduce(1, *) {
      body((row * group.size + place) * stretch, row * stretch, stretch)
    }
  }

  func whole(_ value: StoredValue) throws -> Tensor {
    guard let axis = axes[value.index] else { return try inner.whole(value) }
    guard let request = requests[value.name] else {
      preconditionFailure("'\(value.name)' is asked for by a process that does not lead")
    }
    try say(request)
    let own = try inner.whole(value)
    let whole = Tensor(
      uninitialized: TensorSpecification(shape(of: value), value.dtype), on: own.backend, kind: .workspace)
    for place in 0..<group.size {
      try group.scratch.withBytes(value.byteCount) { part throws(DistributedError) in
        if place == 0 {
          part.copyMemory(from: UnsafeRawBufferPointer(own.hostBytes))
        } else {
          try group.receive(part, from: place, "parts for the first process")
        }
        forEachStretch(of: value, axis, place: place) { begin, start, count in
          UnsafeMutableRawBufferPointer(rebasing: whole.hostBytes[begin..<(begin + count)]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(part)[start..<(start + count)]))
        }
      }
    }
    withExtendedLifetime(own) {}
    return whole
  }

  func lead<Result>(_ values: [StoredValue], _ body: () throws -> Result) throws -> Result? {
    let sorted = values.sorted { $0.name < $1.name }
    return group.rank == 0
      ? try inner.lead(values) { try ask(for: sorted, body) }
      : try inner.lead(values) { try answer(sorted) } ?? nil
  }

  /// On the first of the peers: lets `body` ask the others.
  private func ask<Result>(for sorted: [StoredValue], _ body: () throws -> Result) throws -> Result {
    requests = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1.name, $0) })
    defer { requests = [:] }
    let result: Result
    do { result = try body() } catch let stop as Interrupted {
      try say(Self.isInterrupted)
      throw stop
    }
    // After any other error this process ends, and the others with it.
    try say(Self.isDone)
    return result
  }

  /// On the others: gives the parts that are asked for.
  private func answer<Result>(_ sorted: [StoredValue]) throws -> Result? {
    while true {
      let request = try say(0)
      if request == Self.isInterrupted { throw Interrupted() }
      guard request >= 0 else { return nil }
      let part = try inner.whole(sorted[request])
      try group.send(UnsafeRawBufferPointer(part.hostBytes), to: 0, "parts for the first process")
      withExtendedLifetime(part) {}
    }
  }

  private static let isDone = -1
  private static let isInterrupted = -2

  /// The first process's number, on all.
  @discardableResult
  private func say(_ number: Int) throws(DistributedError) -> Int {
    try group.passed(number, "requests of the first process")
  }
}
