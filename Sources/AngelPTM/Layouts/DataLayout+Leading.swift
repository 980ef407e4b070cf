import AngelCore
import AngelDistributed
import AngelTensor

/// Checkpoints hold whole tensors: the first process asks the others for their shares.
extension DataLayout {
  func restore(_ value: StoredValue, from bytes: UnsafeRawBufferPointer) {
    let bounds = bounds(of: value)
    let own = bounds[group.rank]..<bounds[group.rank + 1]
    if !own.isEmpty { value.restore(UnsafeRawBufferPointer(rebasing: bytes[own])) }
  }

  /// Who holds which bytes of a stored value; everyone all of them where it is not shared out.
  private func bounds(of value: StoredValue) -> [Int] {
    let count = value.byteCount
    if isEverywhere(value) { return (0...group.size).map { $0 <= group.rank ? 0 : count } }
    let shares = map.values(value.index)
    if value.shape == map.shapes[value.index] { return shares.map { $0 * value.dtype.byteCount(of: 1) } }
    // A state of another shape lies with the one that owns its parameter.
    return shares.map { $0 == 0 ? 0 : count }
  }

  private func isEverywhere(_ value: StoredValue) -> Bool {
    sharing == .nothing || (value.isParameter && sharing < .parameters)
  }

  func whole(_ value: StoredValue) throws -> Tensor {
    if isEverywhere(value) {
      guard let tensor = value.own() else { preconditionFailure("'\(value.name)' has no values") }
      return tensor
    }
    guard let question = questions[value.name] else {
      preconditionFailure("'\(value.name)' is asked for by a process that does not lead")
    }
    try leading.ask(question)
    let specification = TensorSpecification(value.shape, value.dtype)
    let whole = Tensor(uninitialized: specification, on: gradients.backend, kind: .workspace)
    // In the pool's words where there is no memory.
    try whole.backend.synchronize()
    try collect(into: whole, bounds(of: value), value.own())
    return whole
  }

  func lead<Result>(_ values: [StoredValue], _ body: () throws -> Result) throws -> Result? {
    try self.values?.arriveAll()
    let sorted = values.sorted { $0.name < $1.name }
    // Before these come the planes of parameters.
    let first = 2 * parameters.count
    guard isFirst else {
      try leading.answering { question in
        try give(question >= first ? sorted[question - first].own() : ownPlane(question % 2, of: question / 2))
      }
      return nil
    }
    questions = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1.name, first + $0) })
    defer { questions = [:] }
    return try leading.asking {
      let result = try body()
      if let failure { throw failure }
      return result
    }
  }

  /// Gives the first process this one's share, where it has one.
  private func give(_ own: Tensor?) throws(DistributedError) {
    guard let own, own.specification.byteCount > 0 else { return }
    try group.send(UnsafeRawBufferPointer(try own.hostBytes(Self.shares)), to: 0, Self.shares)
    withExtendedLifetime(own) {}
  }

  /// Puts everyone's shares where they belong.
  func collect(into whole: Tensor, _ bounds: [Int], _ own: Tensor?) throws(DistributedError) {
    let bytes = try whole.hostBytes(Self.shares)
    for rank in 0..<group.size where bounds[rank] < bounds[rank + 1] {
      let place = UnsafeMutableRawBufferPointer(rebasing: bytes[bounds[rank]..<bounds[rank + 1]])
      if rank == 0, let own {
        place.copyMemory(from: UnsafeRawBufferPointer(try own.hostBytes(Self.shares)))
      } else {
        do { try group.receive(place, from: rank, Self.shares) } catch {
          keep(afterFailure: whole.storage)
          throw error
        }
      }
    }
    withExtendedLifetime((whole, own)) {}
  }

  private static var shares: String { "shares for the first process" }
}
