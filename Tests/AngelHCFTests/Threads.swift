import Glibc

/// Runs `body` on `count` threads of the system at once and waits for all.
func inThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Task {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  var threads: [pthread_t] = []
  for index in 0..<count {
    var thread = pthread_t()
    let task = Unmanaged.passRetained(Task { body(index) })
    let code = pthread_create(
      &thread, nil,
      { pointer in
        if let pointer { Unmanaged<Task>.fromOpaque(pointer).takeRetainedValue().run() }
        return nil
      }, task.toOpaque())
    if code == 0 { threads.append(thread) } else { task.release() }
  }
  for thread in threads { pthread_join(thread, nil) }
}
