import AngelCore
import AngelDistributed

/// What is sent beside a trainer's work, on a thread and a group of its own, and the account of what that costs the trainer.
final class SideLane {
  /// Used by the lane's thread alone.
  let group: any ProcessGroup
  private let queue: CollectiveQueue
  private var begin = 0.0
  private var processorBegin = 0.0
  private var events: [StepSchedule.Event] = []
  /// Seconds since the step began in which the trainer stood still for others.
  private(set) var waitedSeconds = 0.0
  /// Of the thread's own processor time, what fell into those.
  private var processorInWaits = 0.0

  init(_ group: any ProcessGroup) throws {
    self.group = try group.divided(color: 0, key: group.rank)
    queue = try CollectiveQueue()
  }

  func beginStep() {
    (begin, processorBegin) = (MonotonicClock.seconds(), queue.processorSeconds)
    (waitedSeconds, processorInWaits, events) = (0, 0, [])
  }

  /// Seconds of processor time since the step began that moving and summing took while the trainer went on: on a machine without
  /// a core to spare they are taken from it.
  var takenSeconds: Double { max(0, queue.processorSeconds - processorBegin - processorInWaits) }

  /// Every process starts the same work in the same order.
  func start(_ work: @escaping @Sendable () throws(DistributedError) -> Void) -> CollectiveQueue.Ticket {
    queue.start(work)
  }

  func wait(_ ticket: CollectiveQueue.Ticket) throws(DistributedError) {
    try waiting { () throws(DistributedError) in try ticket.wait() }
  }

  /// Counts the time that `body` takes as waited for.
  func waiting<Result, Failure>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    let (begin, processor) = (MonotonicClock.seconds(), queue.processorSeconds)
    defer {
      waitedSeconds += MonotonicClock.seconds() - begin
      processorInWaits += queue.processorSeconds - processor
    }
    return try body()
  }

  // MARK: What the arithmetic is about

  private var computeSeconds: Double { MonotonicClock.seconds() - begin - waitedSeconds }

  func note(_ move: StepSchedule.Move, _ happening: StepSchedule.Happening) {
    events.append(.init(computeSeconds, move, happening))
  }

  /// Of the step so far.
  var schedule: StepSchedule { StepSchedule(events, seconds: computeSeconds) }

  /// The bytes that keep this process's end of the wire busy, in the direction that takes longer, while everyone gives everyone
  /// the shares of theirs or of the others; `bounds` are those of the shares.
  func busyBytes(_ bounds: [Int]) -> Int {
    let own = bounds[group.rank + 1] - bounds[group.rank]
    return max(own * (group.size - 1), bounds[group.size] - own)
  }
}
