import Glibc

/// A thread of its own, for work that blocks or computes: Swift's cooperative pool must never be kept waiting, and its
/// stacks are small.
public struct DedicatedThread: Sendable {
  /// Room for the deepest chat template the interpreter accepts, in a debug build too.
  public static let stackByteCount = 16 << 20

  private let thread: pthread_t

  /// Starts `body` on a new thread; signals stay blocked as they are in the caller. Throws when the system refuses.
  public init(stackByteCount: Int = Self.stackByteCount, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackByteCount)
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { context in
        if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
        return nil
      }, work.toOpaque())
    guard code == 0 else {
      work.release()
      throw .refused(reason: String(cString: strerror(code)))
    }
    self.thread = thread
  }

  /// Whether the caller is this thread.
  public var isCurrent: Bool { pthread_equal(thread, pthread_self()) != 0 }

  /// Waits until the thread has ended. To be called once, and not after `detach`.
  public func join() { pthread_join(thread, nil) }

  /// Lets the thread end by itself, without anyone waiting for it.
  public func detach() { pthread_detach(thread) }

  /// Runs `body` with the numbers from 0 on `count` threads and waits for all; on fewer where the system has no more.
  /// Throws when it has none.
  public static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws(ThreadError) {
    var threads: [DedicatedThread] = []
    for index in 0..<max(1, count) {
      do {
        threads.append(try DedicatedThread { body(index) })
      } catch {
        guard !threads.isEmpty else { throw error }
        break
      }
    }
    for thread in threads { thread.join() }
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}

/// Why a thread could not be started.
public enum ThreadError: DescribedError {
  case refused(reason: String)

  public var description: String {
    switch self {
    case .refused(let reason): "no thread can be started (\(reason)): raise the process limit (ulimit -u, ulimit -v)"
    }
  }
}
