import Glibc

/// Messages from any thread to one that sleeps while there are none.
public final class Mailbox<Message: Sendable>: Sendable {
  // SAFETY: only touched while `mutex` is held.
  private nonisolated(unsafe) var messages: [Message] = []
  // SAFETY: both are made in init and destroyed in deinit; the system's calls on them are for any thread.
  private nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private nonisolated(unsafe) let arrival: UnsafeMutablePointer<pthread_cond_t>

  public init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    arrival = .allocate(capacity: 1)
    arrival.initialize(to: pthread_cond_t())
    pthread_cond_init(arrival, nil)
  }

  deinit {
    pthread_cond_destroy(arrival)
    pthread_mutex_destroy(mutex)
    arrival.deallocate()
    mutex.deallocate()
  }

  /// Adds a message and wakes the receiver.
  public func send(_ message: Message) {
    pthread_mutex_lock(mutex)
    messages.append(message)
    pthread_cond_signal(arrival)
    pthread_mutex_unlock(mutex)
  }

  /// Takes all messages, oldest first; where there are none and `waits`, sleeps until one comes.
  public func receive(waits: Bool) -> [Message] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while waits, messages.isEmpty { pthread_cond_wait(arrival, mutex) }
    defer { messages = [] }
    return messages
  }
}
