import AngelCore
import Glibc

/// Turns Ctrl-C and termination requests into calls on an ordinary thread, so that no code runs inside a signal handler.
enum SignalListener {
  /// Blocks the signals in this thread and those it starts, and waits for them on a thread of its own.
  ///
  /// The first request is left to deferred work (`Interruption.deferred`); without such work, or the second time,
  /// the process ends at once.
  static func start(_ interruption: Interruption) {
    // A closed pipe is an error of write, not the end of the program.
    signal(SIGPIPE, SIG_IGN)
    var signals = sigset_t()
    sigemptyset(&signals)
    // A program started in the background by a shell has SIGINT ignored, and nohup ignores SIGHUP: it stays so.
    for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) { sigaddset(&signals, number) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    let context = Unmanaged.passRetained(Listener(signals, interruption))
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let code = pthread_create(
      &thread, &attributes,
      { context in
        if let context { Unmanaged<Listener>.fromOpaque(context).takeRetainedValue().listen() }
        return nil
      }, context.toOpaque())
    pthread_attr_destroy(&attributes)
    if code != 0 {
      // Without the thread the signals must keep their usual effect.
      context.release()
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  private final class Listener: Sendable {
    let signals: sigset_t
    let interruption: Interruption

    init(_ signals: sigset_t, _ interruption: Interruption) {
      self.signals = signals
      self.interruption = interruption
    }

    func listen() {
      var signals = signals
      while true {
        var number: Int32 = 0
        guard sigwait(&signals, &number) == 0 else { continue }
        let isFirst = interruption.request()
        if !(isFirst && interruption.isDeferred) { _exit(128 + number) }
      }
    }
  }
}
