import AngelCore
import Synchronization

/// Threads of their own that run jobs; each job goes to the next thread in turn, and jobs of a thread run in order.
final class JobQueue: Sendable {
  private enum Message: Sendable {
    case job(@Sendable () -> Void)
    case close(onEnd: @Sendable () -> Void)
    case stop
  }

  private let inboxes: [Mailbox<Message>]
  private let turn = Atomic<Int>(0)
  private let isClosed = Mutex(false)

  init(threadCount: Int) throws(ThreadError) {
    var inboxes: [Mailbox<Message>] = []
    for _ in 0..<threadCount {
      let inbox = Mailbox<Message>()
      do throws(ThreadError) {
        try DedicatedThread { Self.serve(inbox) }.detach()
      } catch {
        for inbox in inboxes { inbox.send(.stop) }
        throw error
      }
      inboxes.append(inbox)
    }
    self.inboxes = inboxes
  }

  private static func serve(_ inbox: Mailbox<Message>) {
    while true {
      for message in inbox.receive(waits: true) {
        switch message {
        case .job(let job): job()
        case .close(let onEnd): onEnd()
        case .stop: return
        }
      }
    }
  }

  /// The threads end once the jobs they have are done.
  deinit { for inbox in inboxes { inbox.send(.stop) } }

  /// Runs `job` later on one of the threads; false when the queue is closed.
  func add(_ job: @escaping @Sendable () -> Void) -> Bool {
    isClosed.withLock { isClosed in
      guard !isClosed else { return false }
      let index = turn.add(1, ordering: .relaxed).oldValue % inboxes.count
      inboxes[index].send(.job(job))
      return true
    }
  }

  /// Takes no more jobs, and calls back when those it has are done.
  func close(onEnd: @escaping @Sendable () -> Void) {
    let left = Countdown(inboxes.count, onEnd)
    isClosed.withLock { isClosed in
      isClosed = true
      for inbox in inboxes { inbox.send(.close { left.step() }) }
    }
  }

  /// Calls back after so many steps.
  private final class Countdown: Sendable {
    private let left: Mutex<Int>
    private let onEnd: @Sendable () -> Void

    init(_ count: Int, _ onEnd: @escaping @Sendable () -> Void) {
      left = Mutex(count)
      self.onEnd = onEnd
    }

    func step() {
      let isLast = left.withLock { left in
        left -= 1
        return left == 0
      }
      if isLast { onEnd() }
    }
  }
}
