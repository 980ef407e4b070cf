public import AngelCore

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

  public init() throws(ThreadError) {
    let mailbox = Mailbox<Message>()
    self.mailbox = mailbox
    thread = try DedicatedThread { Self.run(mailbox) }
  }

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
      for message in mailbox.receive(waits: true) {
        guard case .work(let work, let ticket) = message else { return }
        if failure == nil {
          do throws(DistributedError) { try work.body() } catch {
            failure = error
            keep(afterFailure: work)
          }
        }
        ticket.end(failure)
      }
    }
  }
}
