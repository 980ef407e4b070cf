import AngelCore
import CAngelKernels
import Synchronization

/// The C thread pool as a resource: created with the backend, joined when the backend goes.
final class ThreadPool: Sendable {
  // SAFETY: set once; the C pool is only run while `turn` is held, and destroyed when nothing refers to it any more.
  private nonisolated(unsafe) let pool: OpaquePointer
  private let turn = Mutex(())

  init(threadCount: Int) throws(ThreadPoolError) {
    guard let created = angel_pool_create(Int32(clamping: threadCount)) else {
      throw .unavailable(threadCount: threadCount)
    }
    pool = created
  }

  deinit { angel_pool_destroy(pool) }

  /// Runs a kernel for parts 0..<parts; returns when all are done. One launch at a time; others wait.
  func run(_ kernel: angel_kernel, _ arguments: UnsafeRawBufferPointer, parts: Int) {
    turn.withLock { _ in angel_pool_run(pool, kernel, arguments.baseAddress, Int32(clamping: parts)) }
  }

  /// Runs `body` with the numbers 0 ..< `count`; returns when all are done.
  func run(_ count: Int, _ body: @Sendable (Int) -> Void) {
    typealias Body = @Sendable (Int) -> Void
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { pointer in
        let context = UnsafeRawBufferPointer(start: pointer, count: MemoryLayout<Body>.size)
        run(
          { context, part, _ in context?.assumingMemoryBound(to: Body.self).pointee(Int(part)) }, context, parts: count)
      }
    }
  }

  /// Runs launches in order, each when the one before is done.
  func replay(_ launches: UnsafeBufferPointer<angel_launch>) {
    turn.withLock { _ in angel_pool_replay(pool, launches.baseAddress, Int64(launches.count)) }
  }
}

/// Why no thread pool could be made.
enum ThreadPoolError: DescribedError {
  case unavailable(threadCount: Int)

  var description: String {
    switch self {
    case .unavailable(let threadCount):
      "\(threadCount) threads cannot be started: lower --threads or raise the process limit (ulimit -u)"
    }
  }
}
