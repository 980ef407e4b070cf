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
    guard let question = questions[value.name] else {
      preconditionFailure("'\(value.name)' is asked for by a process that does not lead")
    }
    try leading.ask(question)
    let own = try inner.whole(value)
    let whole = Tensor(
      uninitialized: TensorSpecification(shape(of: value), value.dtype), on: own.backend, kind: .workspace)
    // In the pool's words where there is no memory.
    try whole.backend.synchronize()
    let bytes = try whole.hostBytes(Self.parts)
    for place in 0..<group.size {
      try group.scratch.withBytes(value.byteCount) { part throws(DistributedError) in
        if place == 0 {
          part.copyMemory(from: UnsafeRawBufferPointer(try own.hostBytes(Self.parts)))
        } else {
          try group.receive(part, from: place, Self.parts)
        }
        forEachStretch(of: value, axis, place: place) { begin, start, count in
          UnsafeMutableRawBufferPointer(rebasing: bytes[begin..<(begin + count)]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(part)[start..<(start + count)]))
        }
      }
    }
    withExtendedLifetime((whole, own)) {}
    return whole
  }

  func lead<Result>(_ values: [StoredValue], _ body: () throws -> Result) throws -> Result? {
    let sorted = values.sorted { $0.name < $1.name }
    guard group.rank == 0 else {
      _ = try inner.lead(values) { try leading.answering { try give(sorted[$0]) } }
      return nil
    }
    questions = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1.name, $0) })
    defer { questions = [:] }
    return try inner.lead(values) { try leading.asking(body) }
  }

  /// Gives the first of the peers this one's part.
  private func give(_ value: StoredValue) throws {
    let part = try inner.whole(value)
    try group.send(UnsafeRawBufferPointer(try part.hostBytes(Self.parts)), to: 0, Self.parts)
    withExtendedLifetime(part) {}
  }

  private static var parts: String { "parts for the first process" }
}
