import Glibc
import Synchronization

/// The connections that are open, looked after ten times a second by a thread of their own.
final class HTTPConnections: Sendable {
  /// One connection between its accepting and its closing.
  final class Connection: Sendable {
    let clientAddress: String
    private let state: Mutex<State>

    private struct State {
      /// -1 once it has been closed.
      var descriptor: Int32
      /// When it began to wait for a request.
      var since: Double
      var exchange: HTTPExchange?
    }

    init(descriptor: Int32, clientAddress: String, now: Double) {
      self.clientAddress = clientAddress
      state = Mutex(State(descriptor: descriptor, since: now))
    }

    func begin(_ exchange: HTTPExchange) { state.withLock { $0.exchange = exchange } }

    func end(now: Double) {
      state.withLock { state in
        state.exchange = nil
        state.since = now
      }
    }

    func close() { state.withLock { $0.descriptor = -1 } }

    /// The exchange under way; a connection that has waited too long for the head of a request is shut instead.
    func exchange(now: Double, headSeconds: Double) -> HTTPExchange? {
      state.withLock { state in
        if state.exchange == nil, state.descriptor >= 0,
          now - state.since > headSeconds || HangUp.has(state.descriptor)
        {
          shutdown(state.descriptor, Int32(SHUT_RDWR))
        }
        return state.exchange
      }
    }
  }

  private let open = Mutex<[ObjectIdentifier: Connection]>([:])

  var count: Int { open.withLock { $0.count } }

  func add(_ connection: Connection) { open.withLock { $0[ObjectIdentifier(connection)] = connection } }

  func remove(_ connection: Connection) {
    connection.close()
    open.withLock { $0[ObjectIdentifier(connection)] = nil }
  }

  /// The exchanges under way, after connections that waited too long have been shut.
  func exchanges(now: Double, headSeconds: Double) -> [HTTPExchange] {
    open.withLock { Array($0.values) }.compactMap { $0.exchange(now: now, headSeconds: headSeconds) }
  }
}

/// Whether the other end of a connection has gone.
enum HangUp {
  /// From <poll.h>, where it hides behind _GNU_SOURCE.
  private static let closedByPeer: Int16 = 0x2000

  /// A client that has closed its side of the connection is taken to have gone, as other servers do.
  static func has(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: closedByPeer, revents: 0)
    return poll(&entry, 1, 0) > 0
  }
}
