import AngelCore
import AngelDistributed

/// The first process of a group writes checkpoints and models, validates and samples by itself; for what it does not hold it
/// asks the others, who wait for its questions meanwhile. Questions are numbers, from 0, that all understand.
final class Leading {
  private let group: any ProcessGroup
  /// Whether this process leads at the moment, and so may ask.
  private(set) var isAsking = false

  init(_ group: any ProcessGroup) { self.group = group }

  /// What is not a question: the first process needs nothing more, or was asked to stop.
  private static let isDone = -1
  private static let isInterrupted = -2

  /// On the first process: runs `body`, which may ask.
  func asking<Result>(_ body: () throws -> Result) throws -> Result {
    isAsking = true
    defer { isAsking = false }
    let result: Result
    do { result = try body() } catch let stop as Interrupted {
      try say(Self.isInterrupted)
      throw stop
    }
    // After any other error this process ends, and the others with it.
    try say(Self.isDone)
    return result
  }

  /// On the others: answers questions until there are no more.
  func answering(_ answer: (Int) throws -> Void) throws {
    while true {
      let question = try say(0)
      if question == Self.isInterrupted { throw Interrupted() }
      guard question >= 0 else { return }
      try answer(question)
    }
  }

  /// On the first process: asks all others.
  func ask(_ question: Int) throws(DistributedError) {
    precondition(isAsking, "question \(question) is asked by a process that does not lead")
    try say(question)
  }

  /// The first process's number, on all.
  @discardableResult
  private func say(_ number: Int) throws(DistributedError) -> Int {
    try group.passed(number, "requests of the first process")
  }
}
