import AngelCore
import AngelDistributed
import AngelNN
import AngelTensor

extension DataLayout {
  func changed(_ path: String) {
    if let place = places[path] { values?.release(upTo: place) }
  }

  /// Gives everyone the values that this process has changed: of whole parameters the shares of all, of parted ones nothing.
  func publish() {
    values?.end()
    for (_, parameter) in parameters {
      if case .parted(let values) = parameter.value { (values as? PartedParameter)?.change() }
    }
  }

  /// One plane of a parted parameter, put together from everyone's shares; anything after a failure.
  func gathered(plane: Int, of index: Int, _ specification: TensorSpecification) -> Tensor {
    do throws(DistributedError) {
      if failure == nil, isStepping {
        return try parted.take(.init(index: index, plane: plane), specification) { ownPlane($0.plane, of: $0.index) }
      }
    } catch { failure = error }
    let whole = Tensor(uninitialized: specification, on: gradients.backend, kind: .workspace)
    guard failure == nil else { return whole }
    let width = specification.byteCount / max(1, map.shapes[index].elementCount)
    let bounds = map.values(index).map { $0 * width }
    do throws(DistributedError) {
      try lane.waiting { () throws(DistributedError) in try fill(whole, plane, of: index, bounds) }
    } catch { failure = error }
    return whole
  }

  /// Outside of steps: asked for by the first process alone, or by all together.
  private func fill(_ whole: Tensor, _ plane: Int, of index: Int, _ bounds: [Int]) throws(DistributedError) {
    let own = ownPlane(plane, of: index)
    if leading.isAsking {
      try leading.ask(2 * index + plane)
      return try collect(into: whole, bounds, own)
    }
    let purpose = "all-gather of parameters"
    if let own {
      UnsafeMutableRawBufferPointer(rebasing: try whole.hostBytes(purpose)[bounds[group.rank]...]).copyMemory(
        from: UnsafeRawBufferPointer(try own.hostBytes(purpose)))
    }
    do { try group.gather(whole.hostBytes(purpose), bounds, purpose) } catch {
      keep(afterFailure: whole.storage)
      throw error
    }
  }

  /// This process's share of one plane of a parameter.
  func ownPlane(_ plane: Int, of index: Int) -> Tensor? { shares[index]?.trainedValues?.planes[plane] }
}
