import Glibc

/// A thread with a stack of a chosen size, to show that recursion stays bounded.
public struct SmallStackThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private var handle = pthread_t()

  /// Starts `run` on a stack of that many bytes.
  public init(stackBytes: Int, _ run: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    precondition(
      pthread_attr_setstacksize(&attributes, stackBytes) == 0, "a stack of \(stackBytes) bytes is refused")
    let body = Unmanaged.passRetained(Body(run)).toOpaque()
    let status = pthread_create(
      &handle, &attributes,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, body)
    precondition(status == 0, "the thread did not start: \(status)")
    pthread_attr_destroy(&attributes)
  }

  /// Waits until the body has returned.
  public func join() { pthread_join(handle, nil) }
}
