import AngelCore
import Glibc
import Synchronization

/// Accepts HTTP connections on 127.0.0.1, each on a thread of its own; one request a connection.
final class LoopbackListener: Sendable {
  /// `http://127.0.0.1:port`.
  let address: String
  private let listener: Int32
  private let open = Open()

  /// Connections that are open now, so that those that wait end with the server.
  private final class Open: Sendable {
    private struct State {
      var isClosed = false
      var descriptors: Set<Int32> = []
    }
    private let state = Mutex(State())

    func add(_ descriptor: Int32) -> Bool {
      state.withLock { state in
        if !state.isClosed { state.descriptors.insert(descriptor) }
        return !state.isClosed
      }
    }

    func end(_ descriptor: Int32) {
      state.withLock { state in
        state.descriptors.remove(descriptor)
        // Under the lock: the number may be given to another connection at once.
        close(descriptor)
      }
    }

    func closeAll() {
      state.withLock { state in
        state.isClosed = true
        for descriptor in state.descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
      }
    }
  }

  /// - Parameter answer: answers one connection; called on the connection's thread.
  init(_ answer: @escaping @Sendable (LoopbackConnection) -> Void) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutableBytes(of: &place) { bytes -> Int32 in
      guard let base = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), bind(descriptor, base, length) == 0,
        listen(descriptor, 64) == 0
      else { return -1 }
      return getsockname(descriptor, base, &length)
    }
    guard code == 0 else { throw TestingFailure("cannot listen on 127.0.0.1") }
    address = "http://127.0.0.1:\(UInt16(bigEndian: place.sin_port))"
    listener = descriptor
    signal(SIGPIPE, SIG_IGN)
    // The threads hold what they need, not the listener: it ends when its owner lets go of it.
    Self.start { [open] in
      while case let connection = accept(descriptor, nil, nil), connection >= 0 {
        guard open.add(connection) else {
          close(connection)
          continue
        }
        Self.start {
          answer(LoopbackConnection(descriptor: connection))
          open.end(connection)
        }
      }
      close(descriptor)
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    open.closeAll()
  }

  private static func start(_ body: @escaping @Sendable () -> Void) {
    // Without a thread nobody answers, and the test says so.
    (try? DedicatedThread(body))?.detach()
  }
}

/// A connection that waits for its answer.
struct LoopbackConnection: Sendable {
  let descriptor: Int32

  /// The request's line and header lines; nil when there is none.
  func readHead() -> LoopbackHead? {
    var head: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while head.count < 1 << 16, !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else { return nil }
      head += buffer[..<count]
    }
    let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n").map(String.init)
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2 else { return nil }
    return LoopbackHead(method: String(words[0]), path: String(words[1]), lines: Array(lines.dropFirst()))
  }

  func send(_ text: String) { send(Array(text.utf8)) }

  /// Sends bytes; how many the system took before the other side went away.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Int {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, 0) }
      guard count > 0 else { break }
      done += count
    }
    return done
  }

  /// Waits until the other side, or the server's owner, closes the connection.
  func waitForEnd() {
    var byte: UInt8 = 0
    while recv(descriptor, &byte, 1, 0) > 0 {}
  }
}

/// A request's head.
struct LoopbackHead: Sendable {
  let method: String
  let path: String
  let lines: [String]

  /// The value of a header, named in lower case.
  subscript(name: String) -> String? {
    lines.first { $0.lowercased().hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
  }
}
