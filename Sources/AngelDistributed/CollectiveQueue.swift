public import AngelCore
import Glibc
import Synchronization

/// A thread that carries out collectives in the order in which they are handed over, beside the caller's work.
///
/// Members hand over the same ones in the same order; the groups used here are used nowhere else meanwhile.
public final class CollectiveQueue: Sendable {
  /// What was handed over and may not be done yet.
  public final class Ticket: Sendable {
    private let answer = Mailbox<DistributedError?>()

    fileprivate func end(_ failure: DistributedError?) { answer.send(failure) }

    /// Returns when it is done; throws why it could not be. To be called once.
    public func wait() throws(DistributedError) {
      if let failure = answer.receive(waits: true).first ?? nil { throw failure }
    }
  }

  private final class Work: Sendable {
    let body: @Sendable () throws(DistributedError) -> Void
    init(_ body: @escaping @Sendable () throws(DistributedError) -> Void) { self.body = body }
  }

  private enum Message: Sendable {
    case work(Work, Ticket)
    case stop
  }

  private let mailbox: Mailbox<Message>
  private let thread: DedicatedThread
  private let clock: clockid_t

  public init() throws(ThreadError) {
    let (mailbox, clocks) = (Mailbox<Message>(), Mailbox<clockid_t>())
    self.mailbox = mailbox
    thread = try DedicatedThread {
      var clock = clockid_t()
      pthread_getcpuclockid(pthread_self(), &clock)
      clocks.send(clock)
      pthread_setspecific(Self.mark, UnsafeRawPointer(bitPattern: 1))
      Self.run(mailbox)
    }
    clock = clocks.receive(waits: true)[0]
  }

  /// The processor time that the thread has taken, in seconds.
  public var processorSeconds: Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }

  /// Set on threads of queues.
  private static let mark: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// Whether the caller is the thread of a queue, beside which somebody computes.
  static var isBesideOthers: Bool { pthread_getspecific(mark) != nil }

  deinit {
    mailbox.send(.stop)
    thread.join()
  }

  /// Hands work over; memory it uses must stay as it is until the ticket has been waited for.
  public func start(_ work: @escaping @Sendable () throws(DistributedError) -> Void) -> Ticket {
    let ticket = Ticket()
    mailbox.send(.work(Work(work), ticket))
    return ticket
  }

  /// After a failure nothing else can succeed: what follows fails with it. What the failed work holds stays, for it may still be
  /// on its way.
  private static func run(_ mailbox: Mailbox<Message>) {
    var failure: DistributedError?
    while true {
      var messages = Array(mailbox.receive(waits: true).reversed())
      while !messages.isEmpty {
        guard let ticket = carryOut(messages.removeLast(), &failure) else { return }
        ticket.end(failure)
      }
    }
  }

  /// Gives the ticket of what was carried out, of which nothing is held any more; nil at the end.
  private static func carryOut(_ message: consuming Message, _ failure: inout DistributedError?) -> Ticket? {
    guard case .work(let work, let ticket) = message else { return nil }
    guard failure == nil else { return ticket }
    do throws(DistributedError) { try work.body() } catch {
      failure = error
      keep(afterFailure: work)
    }
    return ticket
  }
}
