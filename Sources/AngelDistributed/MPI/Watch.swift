import AngelCore
import CAngelShims
import Glibc
import Synchronization

/// Looks after the other processes: ten times a second each tells the others that it lives and how far it is.
///
/// A process that ended on this host is noticed by its number at once; one that is stopped, or whose host is gone, by its
/// silence; one that lives but does not come, by how long others have waited.
final class Watch: Sendable {
  /// What a process says of itself at the start.
  private struct Identity {
    var host = ""
    /// The name space that its number is valid in.
    var space = ""
    var process = 0

    static let byteCount = 256
  }

  /// What a process last said.
  private struct Standing {
    var step = 0
    /// Collectives it has come to.
    var begun = 0
    var seen = 0.0
  }

  private struct State {
    var identities: [Identity]
    var standings: [Standing]
    /// Since when this process's threads wait for others who must not be late.
    var waits: [Int: Double] = [:]
    var isEnding = false
    var lost: (rank: Int, condition: LostRank.Condition)?
  }

  /// Messages on their way, and the memory that they lie in.
  private struct Letters {
    var group: Int32 = 0
    var receives: [Int32] = []
    var sends: [Int32] = []
  }

  private let rank: Int
  private let size: Int
  private let patience: MPIWorld.Patience
  private let state: Mutex<State>
  private let letters = Mutex(Letters())
  private let thread = Mutex<DedicatedThread?>(nil)
  // SAFETY: made in init; touched by the watch's thread and by MPI under the world's lock; freed in deinit, after `forget`, or
  // never when somebody is lost, for then MPI still has it.
  private nonisolated(unsafe) let memory: UnsafeMutablePointer<Int64>
  private static let words = 2

  init(rank: Int, size: Int, patience: MPIWorld.Patience) {
    self.rank = rank
    self.size = size
    self.patience = patience
    state = Mutex(
      State(
        identities: [Identity](repeating: Identity(), count: size),
        standings: [Standing](repeating: Standing(), count: size)))
    // For each process what it sends, then what it is sent.
    memory = .allocate(capacity: 2 * Self.words * size)
    memory.initialize(repeating: 0, count: 2 * Self.words * size)
  }

  deinit { if !hasLost { memory.deallocate() } }

  /// Tells everyone who everyone is.
  func introduce(_ group: MPIGroup) throws(DistributedError) {
    let count = Identity.byteCount
    let all = try group.scratch.withBytes(count * size) { bytes throws(DistributedError) in
      UnsafeMutableRawBufferPointer(rebasing: bytes[(rank * count)...]).copyBytes(from: Self.own())
      try group.gather(bytes, (0...size).map { $0 * count }, "the start of the job")
      return (0..<size).map { Self.identity(Array(bytes[($0 * count)..<(($0 + 1) * count)])) }
    }
    state.withLock { $0.identities = all }
  }

  private static func own() -> [UInt8] {
    var host = [CChar](repeating: 0, count: 128)
    gethostname(&host, 127)
    var space = [CChar](repeating: 0, count: 64)
    _ = readlink("/proc/self/ns/pid", &space, 63)
    let text = (Self.text(host), Self.text(space), getpid())
    let bytes = Array("\(text.0)\n\(text.1)\n\(text.2)\n".utf8).prefix(Identity.byteCount)
    return bytes + [UInt8](repeating: 0, count: Identity.byteCount - bytes.count)
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func identity(_ bytes: [UInt8]) -> Identity {
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 2 else { return Identity() }
    return Identity(host: String(lines[0]), space: String(lines[1]), process: Int(lines[2]) ?? 0)
  }

  /// Starts to send and to listen, in a group of its own.
  func begin(_ world: MPIWorld, group: Int32) throws {
    guard size > 1 else { return }
    let now = MonotonicClock.seconds()
    state.withLock { state in for peer in 0..<size { state.standings[peer].seen = now } }
    letters.withLock {
      $0.group = group
      $0.receives = [Int32](repeating: -1, count: size)
      $0.sends = [Int32](repeating: -1, count: size)
    }
    // It keeps both alive until `end` or until somebody is lost; a process that does not come to it ends anyway.
    let made = try DedicatedThread(stackByteCount: 1 << 20) { [self] in
      while !state.withLock({ $0.isEnding || $0.lost != nil }) {
        // What MPI refuses here will be refused where it matters.
        try? tell(world)
        look()
        usleep(100_000)
      }
    }
    thread.withLock { $0 = made }
  }

  /// Stops sending; what is on its way arrives before the next barrier ends.
  func end(_ world: MPIWorld) {
    state.withLock { $0.isEnding = true }
    let running = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    running?.join()
    let sends = letters.withLock { $0.sends.filter { $0 >= 0 } }
    for request in sends { while (try? world.started("", { $0.test(request) })) == 0 { usleep(100) } }
  }

  /// Gives up the receives that nobody answers any more.
  func forget(_ world: MPIWorld) {
    let receives = letters.withLock { $0.receives.filter { $0 >= 0 } }
    for request in receives { _ = try? world.started("", { $0.cancel(request) }) }
  }

  /// Says that this process lives, and hears who else does.
  private func tell(_ world: MPIWorld) throws(DistributedError) {
    let own = state.withLock { $0.standings[rank] }
    var letters = letters.withLock { $0 }
    defer { self.letters.withLock { $0 = letters } }
    let bytes = Int64(8 * Self.words)
    for peer in 0..<size where peer != rank {
      let (outgoing, incoming) = (memory + Self.words * peer, memory + Self.words * (size + peer))
      if letters.sends[peer] >= 0 {
        let request = letters.sends[peer]
        if try world.started("", { $0.test(request) }) == 1 { letters.sends[peer] = -1 }
      }
      if letters.sends[peer] < 0 {
        (outgoing[0], outgoing[1]) = (Int64(own.step), Int64(own.begun))
        letters.sends[peer] = try world.started("") { $0.send(letters.group, outgoing, bytes, Int32(peer), 1) }
      }
      // All that has come: the newest counts.
      while true {
        if letters.receives[peer] < 0 {
          letters.receives[peer] = try world.started("") {
            $0.receive(letters.group, incoming, bytes, Int32(peer), 1)
          }
        }
        let request = letters.receives[peer]
        guard try world.started("", { $0.test(request) }) == 1 else { break }
        letters.receives[peer] = -1
        let heard = Standing(step: Int(incoming[0]), begun: Int(incoming[1]), seen: MonotonicClock.seconds())
        state.withLock { $0.standings[peer] = heard }
      }
    }
  }

  /// Looks whether anyone is lost.
  func look(at now: Double = MonotonicClock.seconds()) {
    state.withLock { state in
      guard state.lost == nil, !state.isEnding else { return }
      let own = state.identities[rank]
      for peer in 0..<size where peer != rank {
        let identity = state.identities[peer]
        if identity.host == own.host, identity.space == own.space, kill(pid_t(identity.process), 0) != 0, errno == ESRCH
        {
          state.lost = (peer, .ended)
          return
        }
        let silence = now - state.standings[peer].seen
        if silence > patience.silent { state.lost = (peer, .silent(seconds: Int(silence))) }
      }
      guard state.lost == nil, let longest = state.waits.values.min(), now - longest > patience.late else {
        return
      }
      let behind = (0..<size).filter { $0 != rank }.min { state.standings[$0].begun < state.standings[$1].begun }
      if let behind { state.lost = (behind, .late(seconds: Int(now - longest))) }
    }
  }

  // MARK: This process

  func enter(step: Int) { state.withLock { $0.standings[rank].step = step } }

  /// Notes that a thread waits, for others who may take their time or not; the result is for `came`.
  func waits(isPatient: Bool) -> Int {
    state.withLock { state in
      state.standings[rank].begun += 1
      let ticket = state.standings[rank].begun
      if !isPatient { state.waits[ticket] = MonotonicClock.seconds() }
      return ticket
    }
  }

  func came(_ ticket: Int) { state.withLock { $0.waits[ticket] = nil } }

  var hasLost: Bool { state.withLock { $0.lost != nil } }

  /// The error that ends the job, once somebody is lost.
  ///
  /// One line is enough: the first of those that are left gives it at once and ends, whereupon the launcher ends the others.
  func lost(in purpose: String) -> DistributedError? {
    let found: LostRank? = state.withLock { state in
      guard let lost = state.lost else { return nil }
      let identity = state.identities[lost.rank]
      return LostRank(
        rank: lost.rank, worldSize: size, host: identity.host, process: identity.process,
        step: state.standings[rank].step, collective: purpose, condition: lost.condition)
    }
    guard let found else { return nil }
    if rank != (found.rank == 0 ? 1 : 0) { usleep(3_000_000) }
    return .lost(found)
  }
}
