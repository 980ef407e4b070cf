import AngelCore
import Glibc

/// Turns Ctrl-C and termination requests into calls on an ordinary thread, so that no code runs inside a signal handler.
struct SignalListener {
  private let signals: sigset_t
  private let interruption: Interruption

  /// Blocks the signals in this thread and in those it starts from now on; `listen` receives them.
  init(_ interruption: Interruption) {
    self.interruption = interruption
    // A closed pipe is an error of write, not the end of the program.
    signal(SIGPIPE, SIG_IGN)
    var signals = sigset_t()
    sigemptyset(&signals)
    // A shell starts background jobs with SIGINT ignored, and nohup ignores SIGHUP: it stays so.
    for number in [SIGINT, SIGTERM, SIGHUP] where !Self.isIgnored(number) { sigaddset(&signals, number) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    self.signals = signals
  }

  /// Waits for signals until the process ends.
  ///
  /// The first request is left to deferred work (`Interruption.deferred`); without such work, or the second time,
  /// the process ends at once.
  func listen() -> Never {
    var signals = signals
    while true {
      var number: Int32 = 0
      // An empty set, when all are ignored, would make sigwait fail at once for ever.
      guard sigwait(&signals, &number) == 0, number > 0 else {
        pause()
        continue
      }
      // Ctrl-C stops an answer; a request to terminate, or a terminal that has gone, means the program.
      let isFirst = interruption.request(forGood: number != SIGINT)
      if !(isFirst && interruption.isDeferred) { _exit(128 + number) }
    }
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }
}
