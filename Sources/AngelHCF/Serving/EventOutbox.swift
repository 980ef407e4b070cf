/// Events of a step, told once all of it has been taken in: who is told wakes other threads, which want this one's
/// core.
final class EventOutbox {
  private var events: [(event: ServingEvent, tell: @Sendable (ServingEvent) -> Void)] = []

  func put(_ event: ServingEvent, for tell: @escaping @Sendable (ServingEvent) -> Void) { events.append((event, tell)) }

  /// Tells everybody, in the order in which events came.
  func empty() {
    defer { events.removeAll(keepingCapacity: true) }
    for (event, tell) in events { tell(event) }
  }
}
