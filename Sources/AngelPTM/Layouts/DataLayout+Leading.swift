import AngelCore
import AngelDistributed
import AngelTensor

/// The first process writes checkpoints and models, validates and samples by itself; for what it does not hold it asks the
/// others, who wait for its questions meanwhile.
extension DataLayout {
  func ownBytes(of value: StoredValue) -> Range<Int> {
    let bounds = bounds(of: value)
    return bounds[group.rank]..<bounds[group.rank + 1]
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
    guard let request = requests?[value.name] else {
      preconditionFailure("'\(value.name)' is asked for by a process that does not lead")
    }
    try ask(for: request)
    let specification = TensorSpecification(value.shape, value.dtype)
    let whole = Tensor(uninitialized: specification, on: gradients.backend, kind: .workspace)
    try collect(into: whole, bounds(of: value), value.own())
    return whole
  }

  func lead<Result>(_ values: [StoredValue], _ body: () throws -> Result) throws -> Result? {
    let sorted = values.sorted { $0.name < $1.name }
    let first = 2 * parameters.count
    guard isFirst else {
      while true {
        let request = try asked()
        if request == Self.isInterrupted { throw Interrupted() }
        guard request >= 0 else { return nil }
        try serve(request, request >= first ? sorted[request - first] : nil)
      }
    }
    requests = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1.name, first + $0) })
    defer { requests = nil }
    let result: Result
    do { result = try body() } catch let stop as Interrupted {
      try ask(for: Self.isInterrupted)
      throw stop
    }
    // After any other error this process ends, and the others with it.
    if let failure { throw failure }
    try ask(for: Self.isDone)
    return result
  }

  /// What is not a request: the first process needs nothing more, or was asked to stop.
  private static let isDone = -1
  private static let isInterrupted = -2

  /// Tells the others what is wanted: a plane of a parameter, a stored value, or nothing more.
  func ask(for request: Int) throws(DistributedError) {
    _ = try passed(Int64(request))
  }

  private func asked() throws(DistributedError) -> Int { Int(try passed(0)) }

  /// The first process's number, on all.
  private func passed(_ number: Int64) throws(DistributedError) -> Int64 {
    try group.scratch.withBytes(8) { bytes throws(DistributedError) in
      bytes.storeBytes(of: number, as: Int64.self)
      try group.broadcast(bytes, from: 0, "requests of the first process")
      return bytes.load(as: Int64.self)
    }
  }

  private func serve(_ request: Int, _ value: StoredValue?) throws(DistributedError) {
    let own = value.map { $0.own() } ?? ownPlane(request % 2, of: request / 2)
    guard let own, own.specification.byteCount > 0 else { return }
    try group.send(UnsafeRawBufferPointer(own.bytes), to: 0, "shares for the first process")
    withExtendedLifetime(own) {}
  }

  /// Puts everyone's shares where they belong.
  func collect(into whole: Tensor, _ bounds: [Int], _ own: Tensor?) throws(DistributedError) {
    for rank in 0..<group.size where bounds[rank] < bounds[rank + 1] {
      let place = UnsafeMutableRawBufferPointer(rebasing: whole.bytes[bounds[rank]..<bounds[rank + 1]])
      if rank == 0, let own {
        place.copyMemory(from: UnsafeRawBufferPointer(own.bytes))
      } else {
        do { try group.receive(place, from: rank, "shares for the first process") } catch {
          keep(afterFailure: whole.storage)
          throw error
        }
      }
    }
    withExtendedLifetime((whole, own)) {}
  }
}
