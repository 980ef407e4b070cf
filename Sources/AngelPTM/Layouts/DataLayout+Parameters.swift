import AngelCore
import AngelDistributed
import AngelNN
import AngelTensor

extension DataLayout {
  /// Gives everyone the values that this process has changed: of whole parameters the shares of all, of parted ones nothing.
  func publish() throws {
    switch sharing {
    case .nothing: return
    case .states, .gradients: try waiting { try gatherWholes() }
    case .parameters:
      for (_, parameter) in parameters {
        if case .parted(let values) = parameter.value { (values as? PartedParameter)?.change() }
      }
    }
  }

  /// Large parameters one by one where they lie, small ones together.
  private func gatherWholes() throws {
    var waiting: [Int: [(index: Int, plane: Tensor)]] = [:]
    for (index, entry) in parameters.enumerated() {
      try entry.parameter.update { values in
        for plane in values.planes {
          let width = plane.specification.byteCount / max(1, entry.parameter.shape.elementCount)
          waiting[width, default: []].append((index, plane))
          let bytes = waiting[width]?.reduce(0) { $0 + $1.plane.specification.byteCount } ?? 0
          if bytes >= 1 << 20 { try gather(waiting.removeValue(forKey: width) ?? [], width: width) }
        }
      }
    }
    for (width, planes) in waiting.sorted(by: { $0.key < $1.key }) { try gather(planes, width: width) }
  }

  private func gather(_ planes: [(index: Int, plane: Tensor)], width: Int) throws(DistributedError) {
    let layout = Bucket(planes.map { map.values($0.index) }, width: width)
    if planes.count == 1 { return try gather(planes[0].plane, layout.bounds) }
    try group.scratch.withBytes(layout.byteCount) { bucket throws(DistributedError) in
      guard let start = bucket.baseAddress else { return }
      layout.pack(planes.map { UnsafeRawPointer($0.plane.address) }, into: start, of: group.rank)
      try group.gather(bucket, layout.bounds, Self.gathering)
      layout.unpack(start, into: planes.map(\.plane.address))
      withExtendedLifetime(planes) {}
    }
  }

  /// Fills in the shares of the others where they belong.
  private func gather(_ whole: Tensor, _ bounds: [Int]) throws(DistributedError) {
    do { try group.gather(whole.hostBytes(Self.gathering), bounds, Self.gathering) } catch {
      keep(afterFailure: whole.storage)
      throw error
    }
  }

  private static var gathering: String { "all-gather of parameters" }

  /// One plane of a parted parameter, put together from everyone's shares; anything after a failure.
  func gathered(plane: Int, of index: Int, _ specification: TensorSpecification) -> Tensor {
    let backend = gradients.backend
    let whole = Tensor(uninitialized: specification, on: backend, kind: .workspace)
    guard failure == nil else { return whole }
    let width = specification.byteCount / max(1, map.shapes[index].elementCount)
    let bounds = map.values(index).map { $0 * width }
    do throws(DistributedError) {
      try waiting { () throws(DistributedError) in try fill(whole, plane, of: index, bounds) }
    } catch { failure = error }
    return whole
  }

  private func fill(_ whole: Tensor, _ plane: Int, of index: Int, _ bounds: [Int]) throws(DistributedError) {
    let own = ownPlane(plane, of: index)
    if leading.isAsking {
      try leading.ask(2 * index + plane)
      return try collect(into: whole, bounds, own)
    }
    if let own {
      UnsafeMutableRawBufferPointer(rebasing: try whole.hostBytes(Self.gathering)[bounds[group.rank]...]).copyMemory(
        from: UnsafeRawBufferPointer(try own.hostBytes(Self.gathering)))
    }
    try gather(whole, bounds)
  }

  /// This process's share of one plane of a parameter.
  func ownPlane(_ plane: Int, of index: Int) -> Tensor? { shares[index]?.trainedValues?.planes[plane] }
}
