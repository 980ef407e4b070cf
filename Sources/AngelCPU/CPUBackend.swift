public import AngelCore
public import AngelMemory
public import AngelTensor
public import CAngelKernels
import Glibc
import Synchronization

/// The CPU: pages of one host pool, kernels in C, launches run at once on a pool of threads.
///
/// A launch returns when its kernel has run, so the stream is always drained and memory may be reused the moment its last
/// tensor goes.
public final class CPUBackend: Backend {
  /// Where every tensor of this backend lives.
  public let pool: PagePool
  /// Threads that run kernels, the caller's included.
  public let threadCount: Int
  private let threads: ThreadPool
  private let failure = Mutex<BackendError?>(nil)
  /// The recording of each thread that records a step now; what other threads do meanwhile is theirs.
  private let recorders = Mutex<[UInt: LaunchRecorder]>([:])

  /// A backend over `pool` (nil: a new one with the machine's default budget) with `threadCount` threads (nil: one for each
  /// physical core this process may use).
  public init(pool: PagePool? = nil, threadCount: Int? = nil) throws {
    self.pool = try pool ?? PagePool()
    self.threadCount = max(1, threadCount ?? Int(angel_physical_cores()))
    self.threads = try ThreadPool(threadCount: self.threadCount)
  }

  public var device: Device { .cpu }

  public var partLimit: Int { threadCount }

  /// The instruction set the kernels were chosen for, for example "avx512".
  public var instructionSet: String { String(cString: angel_isa_name(angel_isa_current())) }

  /// The names `ANGEL_ISA` may have, slowest first; a processor has only some of them.
  public static var instructionSetNames: [String] {
    (ANGEL_ISA_SCALAR.rawValue...ANGEL_ISA_NEON.rawValue).map { String(cString: angel_isa_name(angel_isa($0))) }
  }

  public func allocate(byteCount: Int, kind: MemoryKind) -> Allocation {
    do throws(MemoryError) {
      var (region, isRecorded) = recording { ($0.reuse(byteCount: byteCount, kind: kind), true) } ?? (nil, false)
      if region == nil {
        let fresh = try pool.allocate(byteCount: byteCount, kind: kind)
        recording { $0.took(fresh) }
        region = fresh
      }
      guard let region else { preconditionFailure("an allocation without a region") }
      return Allocation(
        address: region.address, byteCount: byteCount, kind: kind, region: region, isRecorded: isRecorded)
    } catch {
      failure.withLock { if $0 == nil { $0 = .outOfMemory(error.description) } }
      return .nowhere(byteCount: byteCount, kind: kind)
    }
  }

  public func release(_ allocation: Allocation) {
    guard let region = allocation.region else { return }
    // A recorded step gives its memory back itself; until it is complete, its later tensors may take this again.
    if allocation.isRecorded { recording { $0.gave(region) } } else { pool.release(region) }
  }

  public func write(_ bytes: UnsafeRawBufferPointer, to allocation: Allocation, at offset: Int) {
    precondition(offset + bytes.count <= allocation.byteCount, "write past the end of an allocation")
    guard let region = allocation.region else { return }
    recording { $0.wrote(region) }
    UnsafeMutableRawBufferPointer(start: allocation.address + offset, count: bytes.count).copyMemory(from: bytes)
  }

  public func read(_ allocation: Allocation, at offset: Int, into bytes: UnsafeMutableRawBufferPointer)
    throws(BackendError)
  {
    try synchronize()
    precondition(offset + bytes.count <= allocation.byteCount, "read past the end of an allocation")
    bytes.copyMemory(from: UnsafeRawBufferPointer(start: allocation.address + offset, count: bytes.count))
  }

  public func kernel(_ family: angel_family, _ dtypes: KernelDTypes) -> Kernel? {
    func raw(_ dtype: DType?) -> angel_dtype { dtype.map { angel_dtype($0.rawValue) } ?? ANGEL_NO_DTYPE }
    guard let function = angel_kernel_lookup(family, raw(dtypes.first), raw(dtypes.second), raw(dtypes.third)) else {
      return nil
    }
    return Kernel(family: family, function: function)
  }

  public func launch(_ kernel: Kernel, _ arguments: UnsafeRawBufferPointer, work: Work) {
    // After a failed allocation some address may lead nowhere: nothing runs until the failure has been thrown.
    guard failure.withLock({ $0 == nil }) else { return }
    threads.run(kernel.function, arguments, parts: parts(for: work, grain: 64 << 10))
    // Between the launches of a list there is only a barrier, so smaller parts pay.
    recording { $0.launched(kernel.function, arguments, parts: parts(for: work, grain: 16 << 10)) }
  }

  public func record(_ body: () throws -> Void) throws -> (any RecordedStep)? {
    let thread = Self.currentThread
    recorders.withLock { $0[thread] = LaunchRecorder() }
    // On failure the memory goes back with the step that is dropped here.
    func finish() -> RecordedLaunches? {
      recorders.withLock { $0.removeValue(forKey: thread) }.map { RecordedLaunches($0, pool: pool, threads: threads) }
    }
    do { try body() } catch {
      _ = finish()
      throw error
    }
    let step = finish()
    try synchronize()
    return step
  }

  public func perform(_ count: Int, _ body: @Sendable (Int) -> Void) {
    guard count > 1, threadCount > 1 else { return (0..<count).forEach(body) }
    threads.run(count, body)
  }

  /// Runs `body` on this thread's recording, if it is recording.
  @discardableResult
  private func recording<Result>(_ body: (inout LaunchRecorder) -> Result) -> Result? {
    recorders.withLock { recorders in
      // Nearly always nobody records.
      guard !recorders.isEmpty else { return nil }
      let thread = Self.currentThread
      guard var recorder = recorders.removeValue(forKey: thread) else { return nil }
      defer { recorders[thread] = recorder }
      return body(&recorder)
    }
  }

  private static var currentThread: UInt { UInt(pthread_self()) }

  public func synchronize() throws(BackendError) {
    let first = failure.withLock { failure in
      defer { failure = nil }
      return failure
    }
    if let first { throw first }
  }

  /// Waking a worker costs a few microseconds, in which one core moves about 64 KiB: smaller work stays on the caller.
  /// Beyond that, several parts a thread let a thread that lost its core hand over what it has not begun.
  private func parts(for work: Work, grain: Int) -> Int {
    guard threadCount > 1 else { return 1 }
    return max(1, min(threadCount * 4, work.byteEquivalents / grain))
  }
}
