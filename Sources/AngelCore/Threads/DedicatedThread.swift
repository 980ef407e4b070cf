import Glibc

/// A thread of its own: kernels run on the caller's thread, templates recurse and network calls block, so none of them
/// belongs on the small stacks of Swift's cooperative pool, which must never be kept waiting either.
public struct DedicatedThread {
  /// Room for the deepest chat template the interpreter accepts, in a debug build too.
  public static let stackByteCount = 16 << 20

  private let thread: pthread_t

  /// Starts `body` on a new thread; signals stay blocked as they are in the caller. Throws when the system refuses.
  public init(_ body: @escaping @Sendable () -> Void) throws(ThreadError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, Self.stackByteCount)
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

  /// Waits until the thread has ended; once at most.
  public func join() { pthread_join(thread, nil) }

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
