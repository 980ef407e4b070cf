import AngelCore
import AngelDistributed
import AngelNN
import AngelTensor
import Synchronization

/// A parameter of which this process holds a share; the whole is gathered when a layer asks and goes with the layer.
// SAFETY: `layout` and what it holds are used by the trainer's thread, which alone runs passes.
final class PartedParameter: PartedValues, @unchecked Sendable {
  let shape: Shape
  private unowned let layout: DataLayout
  private let index: Int
  /// How the whole is held, without values.
  private let dtypes: [DType]
  /// What was gathered last, while someone uses it.
  private let known: Mutex<[WeakStorage?]>

  private struct WeakStorage {
    weak var storage: Storage?
  }

  /// Of parameter number `index`, which still holds its whole values.
  init(_ index: Int, of layout: DataLayout) {
    let parameter = layout.parameters[index].parameter
    shape = parameter.shape
    self.layout = layout
    self.index = index
    dtypes = parameter.trainedValues?.planes.map(\.dtype) ?? [.float32]
    known = Mutex([WeakStorage?](repeating: nil, count: dtypes.count))
  }

  var readable: Tensor { plane(0) }

  func gathered() -> TrainedValues { TrainedValues(planes: dtypes.indices.map(plane)) }

  /// Says that the values have changed: what was gathered is no longer true.
  func change() { known.withLock { for plane in $0.indices { $0[plane] = nil } } }

  private func specification(_ plane: Int) -> TensorSpecification {
    TensorSpecification(plane == 0 ? shape : [shape.elementCount, 2], dtypes[plane])
  }

  private func plane(_ number: Int) -> Tensor {
    let specification = specification(number)
    if let storage = known.withLock({ $0[number]?.storage }) {
      return Tensor(shape: specification.shape, dtype: specification.dtype, storage: storage)
    }
    let result = layout.gathered(plane: number, of: index, specification)
    known.withLock { $0[number] = WeakStorage(storage: result.storage) }
    return result
  }
}
