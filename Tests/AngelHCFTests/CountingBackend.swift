import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor
import CAngelKernels
import Synchronization

/// The CPU backend, counting how many tokens go through a model: the rows its embedding looks up.
final class CountingBackend: Backend {
  let inner: CPUBackend
  private let rows = Mutex(0)

  init(_ inner: CPUBackend) { self.inner = inner }

  /// Tokens that ran since the last time this was asked.
  func takeRows() -> Int {
    rows.withLock { rows in
      defer { rows = 0 }
      return rows
    }
  }

  var device: Device { inner.device }
  func allocate(byteCount: Int, kind: MemoryKind) -> Allocation { inner.allocate(byteCount: byteCount, kind: kind) }
  func release(_ allocation: Allocation) { inner.release(allocation) }
  func write(_ bytes: UnsafeRawBufferPointer, to allocation: Allocation, at offset: Int) {
    inner.write(bytes, to: allocation, at: offset)
  }
  func read(_ allocation: Allocation, at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
    try inner.read(allocation, at: offset, into: bytes)
  }
  func kernel(_ family: angel_family, _ dtypes: KernelDTypes) -> Kernel? { inner.kernel(family, dtypes) }
  func launch(_ kernel: Kernel, _ arguments: UnsafeRawBufferPointer, work: Work) {
    if kernel.family == ANGEL_FAMILY_embedding {
      let count = arguments.loadUnaligned(as: angel_embedding_arguments.self).rows
      rows.withLock { $0 += Int(count) }
    }
    inner.launch(kernel, arguments, work: work)
  }
  // Not recorded: a replay would pass the count by.
  func record(_ body: () throws -> Void) throws -> (any RecordedStep)? {
    try body()
    return nil
  }
  func synchronize() throws(BackendError) { try inner.synchronize() }
}
