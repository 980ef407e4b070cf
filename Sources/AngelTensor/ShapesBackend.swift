public import AngelCore
public import AngelMemory
public import CAngelKernels
import Synchronization

/// The backend without arithmetic: shapes, dtypes and peak memory by kind, for planning and tests.
public final class ShapesBackend: Backend {
  private struct State {
    var current: [MemoryKind: Int] = [:]
    var peak: [MemoryKind: Int] = [:]
    var launches: [String: Int] = [:]
    /// Of all kinds together.
    var currentByteCount = 0
    var peakByteCount = 0
    /// Allocations of each size: held now, the most at once, and how often the host wrote one. Only while a step is
    /// recorded.
    var sizes: [AllocationSize: (held: Int, most: Int, written: Int)]?
    var recordedBytes: [MemoryKind: Int] = [:]
  }
  private let state = Mutex(State())
  /// Where tensors would lie.
  private let pool = PagePool(arena: .imagined)

  private struct AllocationSize: Hashable {
    let byteCount: Int
    let kind: MemoryKind
  }

  private let readsZeros: Bool

  /// - Parameter readsZeros: whether what is read is zero, so that code which looks at numbers can be planned too, rather
  ///   than refused.
  public init(readsZeros: Bool = false) { self.readsZeros = readsZeros }

  public var device: Device { .shapes }

  /// The most bytes of each kind that were held at once.
  public var peakBytes: [MemoryKind: Int] { state.withLock { $0.peak } }

  /// The bytes of each kind that are held now.
  public var currentBytes: [MemoryKind: Int] { state.withLock { $0.current } }

  /// The most bytes of all kinds that were held together.
  public var peakByteCount: Int { state.withLock { $0.peakByteCount } }

  /// What the pages of a pool would hold that is asked for the same in the same order.
  public var pages: MemoryUsage { pool.usage }

  /// The bytes of each kind that all recorded steps keep: of each size of allocation, the most that were held at once.
  public var recordedBytes: [MemoryKind: Int] { state.withLock { $0.recordedBytes } }

  /// Takes what is held now as the peak: what follows is measured alone.
  public func resetPeak() {
    state.withLock {
      $0.peak = $0.current
      $0.peakByteCount = $0.currentByteCount
    }
  }

  /// How often each kernel family was launched.
  public var launches: [String: Int] { state.withLock { $0.launches } }

  public func allocate(byteCount: Int, kind: MemoryKind) -> Allocation {
    let sameSize = AllocationSize(byteCount: byteCount, kind: kind)
    state.withLock {
      $0.current[kind, default: 0] += byteCount
      $0.peak[kind] = max($0.peak[kind, default: 0], $0.current[kind, default: 0])
      if var size = $0.sizes?[sameSize] ?? $0.sizes.map({ _ in (0, 0, 0) }) {
        size.held += 1
        size.most = max(size.most, size.held)
        $0.sizes?[sameSize] = size
      }
      $0.currentByteCount += byteCount
      $0.peakByteCount = max($0.peakByteCount, $0.currentByteCount)
    }
    // No plan comes to the end of all addresses but one that is refused anyway.
    return .nowhere(byteCount: byteCount, kind: kind, region: try? pool.allocate(byteCount: byteCount, kind: kind))
  }

  public func release(_ allocation: Allocation) {
    if let region = allocation.region { pool.release(region) }
    state.withLock {
      $0.current[allocation.kind, default: 0] -= allocation.byteCount
      $0.sizes?[AllocationSize(byteCount: allocation.byteCount, kind: allocation.kind)]?.held -= 1
      $0.currentByteCount -= allocation.byteCount
    }
  }

  public func write(_ bytes: UnsafeRawBufferPointer, to allocation: Allocation, at offset: Int) {
    precondition(offset + bytes.count <= allocation.byteCount, "write past the end of an allocation")
    let sameSize = AllocationSize(byteCount: allocation.byteCount, kind: allocation.kind)
    state.withLock { $0.sizes?[sameSize]?.written += 1 }
  }

  public func read(_ allocation: Allocation, at offset: Int, into bytes: UnsafeMutableRawBufferPointer)
    throws(BackendError)
  {
    guard readsZeros else { throw .noArithmetic(.shapes) }
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  public func kernel(_ family: angel_family, _ dtypes: KernelDTypes) -> Kernel? {
    Kernel(family: family) { _, _, _ in }
  }

  public func launch(_ kernel: Kernel, _ arguments: UnsafeRawBufferPointer, work: Work) {
    state.withLock { $0.launches[kernel.family.name, default: 0] += 1 }
  }

  public func record(_ body: () throws -> Void) throws -> (any RecordedStep)? {
    state.withLock { $0.sizes = [:] }
    defer {
      state.withLock {
        for (size, count) in $0.sizes ?? [:] {
          // What the host has written is not used again in the step, since a replay does not write it again.
          $0.recordedBytes[size.kind, default: 0] += size.byteCount * (count.most + count.written)
        }
        $0.sizes = nil
      }
    }
    try body()
    return nil
  }

  public func synchronize() throws(BackendError) {}
}
