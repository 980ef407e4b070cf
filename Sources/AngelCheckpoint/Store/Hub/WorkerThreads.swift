import Glibc

/// Runs the same work on several threads of their own; transfers block, and Swift's pool must not be kept waiting.
enum WorkerThreads {
  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Runs `body` on `count` threads and waits for all; with fewer where the system has no more. Throws when it has none.
  static func run(_ count: Int, _ body: @escaping @Sendable () -> Void) throws(StoreError) {
    var threads: [pthread_t] = []
    var code: Int32 = 0
    for _ in 0..<max(1, count) {
      let work = Unmanaged.passRetained(Work(body))
      var thread = pthread_t()
      code = pthread_create(
        &thread, nil,
        { context in
          if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
          return nil
        }, work.toOpaque())
      guard code == 0 else {
        work.release()
        break
      }
      threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
    guard !threads.isEmpty else {
      throw .file(action: "start", path: "a thread for downloads", reason: systemReason(code))
    }
  }
}
