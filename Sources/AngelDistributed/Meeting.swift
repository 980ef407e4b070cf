import Glibc

/// Where the members of a thread group meet: everyone puts something down, looks at what the others have put, and leaves.
// SAFETY: everything mutable is touched only while `mutex` is held. Bytes that entries point at are read only after all members
// have come and before the last of them has read, and no member returns in between; a member that fails has met nobody, and
// nobody meets after it.
final class Meeting: @unchecked Sendable {
  /// What a member puts down.
  enum Entry {
    case nothing
    case reads(UnsafeRawBufferPointer)
    case joins(color: Int, key: Int)

    var bytes: UnsafeRawBufferPointer {
      guard case .reads(let bytes) = self else {
        preconditionFailure("members of a group called different collectives")
      }
      return bytes
    }

    var color: Int? { if case .joins(let color, _) = self { color } else { nil } }
    var key: Int { if case .joins(_, let key) = self { key } else { 0 } }
  }

  /// The members of one color in one meeting.
  private struct Division: Hashable {
    let meeting: Int
    let color: Int
  }

  let size: Int
  private let timeout: Double
  private var entries: [Entry]
  /// Meetings to which all have come, members that have come to the next one, and those that still read in the last.
  private var (met, arrived, readers) = (0, 0, 0)
  /// Why nobody meets any more.
  private var reason: String?
  private var children: [Division: Meeting] = [:]
  private var letters: [Int: [[UInt8]]] = [:]
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init(size: Int, timeout: Double) {
    self.size = size
    self.timeout = timeout
    entries = [Entry](repeating: .nothing, count: size)
    mutex.initialize(to: pthread_mutex_t())
    change.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(change, nil)
  }

  deinit {
    pthread_cond_destroy(change)
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
    change.deallocate()
  }

  /// Puts `entry` down and gives what `read` makes of those of all members, by rank; returns when all have read.
  func meet<Result>(
    _ rank: Int, _ entry: Entry, _ purpose: String, read: ([Entry]) -> Result
  ) throws(DistributedError) -> Result {
    let result = read(try arrive(rank, entry, purpose))
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    readers -= 1
    if readers == 0 { pthread_cond_broadcast(change) }
    // Readers wait for nobody, so this ends; not even a group that closes now may end it sooner.
    while readers > 0 { pthread_cond_wait(change, mutex) }
    return result
  }

  /// What every member has put down, once all have come.
  private func arrive(_ rank: Int, _ entry: Entry, _ purpose: String) throws(DistributedError) -> [Entry] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if let reason { throw .closed(reason) }
    entries[rank] = entry
    arrived += 1
    if arrived == size {
      (arrived, readers, met) = (0, size, met + 1)
      pthread_cond_broadcast(change)
    } else {
      let meeting = met
      try wait({ met > meeting }, else: { "\(purpose): \(arrived) of \(size) members came" })
    }
    return entries
  }

  /// Ends the group: whoever waits for others, now or later, fails.
  func close(_ reason: String) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    end(reason)
  }

  /// The same; the mutex is held.
  private func end(_ reason: String) {
    if self.reason == nil { self.reason = reason }
    pthread_cond_broadcast(change)
    for child in children.values { child.close(reason) }
  }

  /// The meeting of the members of one color, for those who read; kept, so that closing this one closes it.
  func child(color: Int, size: Int) -> Meeting {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let division = Division(meeting: met, color: color)
    if let known = children[division] { return known }
    let made = Meeting(size: size, timeout: timeout)
    if let reason { made.close(reason) }
    children[division] = made
    return made
  }

  func post(_ bytes: [UInt8], from: Int, to: Int) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    letters[from * size + to, default: []].append(bytes)
    pthread_cond_broadcast(change)
  }

  func fetch(from: Int, to: Int, _ purpose: String) throws(DistributedError) -> [UInt8] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    try wait(
      { letters[from * size + to]?.isEmpty == false }, else: { "\(purpose): member \(from) sent nothing to \(to)" })
    return letters[from * size + to]?.removeFirst() ?? []
  }

  /// Sleeps until `isDone`; the mutex is held. Who waits in vain ends the group, for others may count on it.
  private func wait(_ isDone: () -> Bool, else missing: () -> String) throws(DistributedError) {
    var limit = timespec()
    clock_gettime(CLOCK_REALTIME, &limit)
    limit.tv_sec += Int(timeout)
    while !isDone() {
      if let reason { throw .closed(reason) }
      if pthread_cond_timedwait(change, mutex, &limit) == ETIMEDOUT, !isDone() {
        let reason = self.reason ?? "\(missing()) within \(Int(timeout)) s"
        end(reason)
        throw .closed(reason)
      }
    }
  }
}
