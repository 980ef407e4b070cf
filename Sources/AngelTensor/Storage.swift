package import AngelCore
package import AngelMemory
import Synchronization

/// Device memory shared by the tensors that view it, released when the last of them goes.
///
/// Immutable once published: a kernel writes it before the tensor is returned to anyone.
package final class Storage: Sendable {
  package let backend: any Backend
  package let allocation: Allocation
  /// The int8 or bfloat16 form of these activations, made once when several linear layers read the same tensor.
  private let quantizedRows = Mutex<[DType: Tensor]>([:])

  package init(byteCount: Int, kind: MemoryKind, on backend: any Backend) {
    self.backend = backend
    self.allocation = backend.allocate(byteCount: byteCount, kind: kind)
  }

  deinit { backend.release(allocation) }

  /// The remembered form, or the one `make` gives.
  package func quantizedRows(_ dtype: DType, orMake make: () -> Tensor) -> Tensor {
    if let known = quantizedRows.withLock({ $0[dtype] }) { return known }
    let made = make()
    quantizedRows.withLock { $0[dtype] = made }
    return made
  }
}
