import Glibc

/// Where the members of a thread group meet: everyone puts something down, looks at what the others have put, and leaves.
// SAFETY: everything mutable is touched only while `mutex` is held; the bytes that entries point at are read between two
// meetings of all members, who stay meanwhile.
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

  let size: Int
  private let timeout: Double
  private var entries: [Entry?]
  /// Meetings that have ended, and members that have come to the present one.
  private var (ended, arrived) = (0, 0)
  private var reason: String?
  private var children: [Int: Meeting] = [:]
  private var letters: [Int: [[UInt8]]] = [:]
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init(size: Int, timeout: Double) {
    self.size = size
    self.timeout = timeout
    entries = [Entry?](repeating: nil, count: size)
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

  /// Puts `entry` down, calls `read` with those of all members, by rank, and `after` once all have read.
  func meet<Result>(
    _ rank: Int, _ entry: Entry, _ purpose: String, read: ([Entry]) -> Result, after: (Result) -> Void
  ) throws(DistributedError) {
    pthread_mutex_lock(mutex)
    entries[rank] = entry
    pthread_mutex_unlock(mutex)
    try arrive(rank, purpose)
    pthread_mutex_lock(mutex)
    let all = entries.map { $0 ?? .nothing }
    pthread_mutex_unlock(mutex)
    let result = read(all)
    try arrive(rank, purpose)
    after(result)
  }

  /// Returns when every member has come.
  private func arrive(_ rank: Int, _ purpose: String) throws(DistributedError) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let meeting = ended
    arrived += 1
    if arrived == size {
      arrived = 0
      ended += 1
      pthread_cond_broadcast(change)
      return
    }
    try wait(purpose) { ended > meeting }
  }

  /// Ends the group: whoever waits fails.
  func close(_ reason: String) {
    pthread_mutex_lock(mutex)
    if self.reason == nil { self.reason = reason }
    let children = Array(children.values)
    pthread_cond_broadcast(change)
    pthread_mutex_unlock(mutex)
    for child in children { child.close(reason) }
  }

  /// The meeting of the members of one color; kept, so that closing this one closes it.
  func child(color: Int, size: Int) -> Meeting {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if let known = children[generation + color] { return known }
    let made = Meeting(size: size, timeout: timeout)
    children[generation + color] = made
    return made
  }

  /// Children of one division differ from those of the next; colors are below the size.
  private var generation = 0
  private var forgetting = 0

  /// The next division makes new ones; every member says so.
  func forgetChildren() {
    pthread_mutex_lock(mutex)
    forgetting += 1
    if forgetting == size { (forgetting, generation) = (0, generation + 1_000_000) }
    pthread_mutex_unlock(mutex)
  }

  func post(_ bytes: [UInt8], from: Int, to: Int) throws(DistributedError) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    letters[from * size + to, default: []].append(bytes)
    pthread_cond_broadcast(change)
  }

  func fetch(from: Int, to: Int, _ purpose: String) throws(DistributedError) -> [UInt8] {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    try wait(purpose) { letters[from * size + to]?.isEmpty == false }
    return letters[from * size + to]?.removeFirst() ?? []
  }

  /// Sleeps until `isDone`; the mutex is held.
  private func wait(_ purpose: String, _ isDone: () -> Bool) throws(DistributedError) {
    var end = timespec()
    clock_gettime(CLOCK_REALTIME, &end)
    end.tv_sec += Int(timeout)
    while !isDone() {
      if let reason { throw .closed(reason) }
      if pthread_cond_timedwait(change, mutex, &end) == ETIMEDOUT, !isDone() {
        throw .closed("\(purpose): \(arrived) of \(size) members came within \(Int(timeout)) s")
      }
    }
  }
}
