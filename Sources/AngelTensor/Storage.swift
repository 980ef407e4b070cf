package import AngelCore
package import AngelMemory
import Synchronization

/// Device memory shared by the tensors that view it, released when the last of them goes.
///
/// Immutable once published: a kernel writes it before the tensor is returned to anyone.
package final class Storage: Sendable {
  package let backend: any Backend
  package let allocation: Allocation
  /// Another form of what is stored, made once and kept as long as this.
  package enum DerivedForm: Hashable, Sendable {
    /// Activations as int8 or bfloat16 rows, for several linear layers that read the same tensor.
    case rows(DType)
    /// The transpose of a packed matrix, in panels of a dtype.
    case transposedPanels(DType)
  }

  private let derived = Mutex<[DerivedForm: Tensor]>([:])

  package init(byteCount: Int, kind: MemoryKind, on backend: any Backend) {
    self.backend = backend
    self.allocation = backend.allocate(byteCount: byteCount, kind: kind)
  }

  deinit { backend.release(allocation) }

  /// The remembered form, or the one `make` gives.
  package func derived(_ form: DerivedForm, orMake make: () -> Tensor) -> Tensor {
    if let known = derived.withLock({ $0[form] }) { return known }
    let made = make()
    derived.withLock { $0[form] = made }
    return made
  }
}
