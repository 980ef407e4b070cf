import Testing

@testable import AngelPTM

/// Schedules by hand, on a link of a byte a second.
@Suite("What of sending can be hidden") struct StepScheduleTests {
  private func leastWait(_ events: [StepSchedule.Event], seconds: Double) -> Double {
    StepSchedule(events, seconds: seconds).leastWait(bitsPerSecond: 8)
  }

  private func allowed(_ events: [StepSchedule.Event], seconds: Double) -> Double? {
    StepSchedule(events, seconds: seconds).allowed(bitsPerSecond: 8)
  }

  @Test("what is final last has nothing to hide behind")
  func last() {
    let events: [StepSchedule.Event] = [
      .init(4, .gradient(0), .ready(byteCount: 3)), .init(10, .gradient(1), .ready(byteCount: 2)),
      .init(10, .gradient(0), .needed), .init(10, .gradient(1), .needed),
    ]
    #expect(leastWait(events, seconds: 11) == 2)
    #expect(allowed(events, seconds: 11) == 0.6)
  }

  @Test("a link that is slower than the passes is waited for from when it began")
  func slow() {
    let events: [StepSchedule.Event] = [
      .init(1, .gradient(0), .ready(byteCount: 6)), .init(2, .gradient(1), .ready(byteCount: 6)),
      .init(3, .gradient(0), .needed), .init(3, .gradient(1), .needed),
    ]
    #expect(leastWait(events, seconds: 4) == 10)
  }

  @Test("values that a step ends with may come until the next one asks for them")
  func next() {
    let one: [StepSchedule.Event] = [
      .init(2, .parameter(0), .needed), .init(9, .parameter(0), .ready(byteCount: 5)),
    ]
    #expect(leastWait(one, seconds: 10) == 2)
    let two: [StepSchedule.Event] = [
      .init(1, .parameter(0), .needed), .init(3, .parameter(1), .needed),
      .init(9, .parameter(0), .ready(byteCount: 2)), .init(9, .parameter(1), .ready(byteCount: 4)),
    ]
    #expect(leastWait(two, seconds: 10) == 2)
  }

  @Test("having waited for one use leaves the next one more time")
  func uses() {
    let events: [StepSchedule.Event] = [
      .init(0, .use(0), .ready(byteCount: 1)), .init(0, .use(1), .ready(byteCount: 2)), .init(0, .use(0), .needed),
      .init(1, .use(1), .needed),
    ]
    #expect(leastWait(events, seconds: 5) == 2)
  }

  @Test("where nothing is sent there is no share")
  func nothing() { #expect(allowed([], seconds: 5) == nil) }
}

@Suite("The order of uses") struct UseOrderTests {
  private let uses = (0..<3).map { UseOrder.Use(index: $0, plane: 0) }

  @Test("a step foretells the next one, until that asks for something else")
  func foretells() {
    var order = UseOrder()
    order.beginStep()
    for place in [0, 1, 0, 2] {
      #expect(order.use(after: 0) == nil)
      order.ask(uses[place])
    }
    order.beginStep()
    #expect((0...4).map { order.use(after: $0)?.index } == [0, 1, 0, 2, nil])
    order.ask(uses[0])
    #expect((0...3).map { order.use(after: $0)?.index } == [1, 0, 2, nil])
    order.ask(uses[2])
    #expect(order.use(after: 0) == nil)
    // And what it did ask for is what the one after it goes by.
    order.beginStep()
    #expect((0...2).map { order.use(after: $0)?.index } == [0, 2, nil])
  }
}
