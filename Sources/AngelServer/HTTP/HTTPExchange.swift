import CAngelShims
import Glibc
import Synchronization

/// One request and its answer, between the HTTP library's threads and ours.
///
/// The library asks for an answer on its own thread. Where there is none yet, the connection is suspended under the lock and
/// resumed by whoever brings something, under the same lock; so neither of the two can be missed or happen twice.
public final class HTTPExchange: Sendable {
  public let head: HTTPRequestHead
  private let bodyLimit: Int
  private let bodies: BodyBudget
  private let state: Mutex<State>

  /// A connection's handle.
  // SAFETY: the library's functions that take it from other threads are made for that (resume), or are called by its own.
  struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  private struct State {
    let handle: Handle
    /// The connection's socket; open until `end`.
    let descriptor: Int32
    let since: Double
    var body: [UInt8] = []
    /// Why it is dropped; nil for a body that is kept.
    var dropping: BodyDropping?
    /// Bytes of a dropped body.
    var droppedBytes = 0
    /// Whether the request is complete and `respond` has been told.
    var isWhole = false
    var isSuspended = false
    /// Makes the answer, on the library's thread.
    var response: (@Sendable () -> HTTPResponse)?
    var isAnswered = false
    /// Something has come for the streamed body since it was last asked.
    var wasWoken = false
    var isGone = false
    var isOver = false
    var whenGone: (@Sendable () -> Void)?
    var whenOver: (@Sendable (Outcome) -> Void)?
    var sentBytes = 0
    var status = 0
  }

  /// How an exchange ended.
  public struct Outcome: Sendable {
    /// 0 where no answer was begun.
    public let status: Int
    /// Whether the answer was handed to the system to its end.
    public let isWhole: Bool
    /// Bytes of the answer's body.
    public let sentBytes: Int
  }

  /// What is left of a streamed body's last piece; the library's thread alone uses it.
  private let leftover = Mutex<ArraySlice<UInt8>>([])

  /// Why a request's body is not kept.
  public enum BodyDropping: Error { case tooLong, unwanted, serverFull }

  init(
    _ head: HTTPRequestHead, _ handle: Handle, descriptor: Int32, bodyLimit: Int, bodies: BodyBudget, keepsBody: Bool,
    now: Double
  ) {
    self.head = head
    self.bodyLimit = bodyLimit
    self.bodies = bodies
    state = Mutex(
      State(handle: handle, descriptor: descriptor, since: now, dropping: keepsBody ? nil : .unwanted))
  }

  /// Hands over the request's body, which is kept no longer; throws why it is not there.
  public func takeBody() throws(BodyDropping) -> [UInt8] {
    let (body, dropping) = state.withLock { state in
      defer { state.body = [] }
      return (state.body, state.dropping)
    }
    bodies.giveBack(body.count)
    if let dropping { throw dropping }
    return body
  }

  /// Whether the server did not want the body when the head came.
  var isBodyUnwanted: Bool { state.withLock { $0.dropping == .unwanted } }

  /// Gives the answer. Only the first counts.
  public func send(_ response: HTTPResponse) { send { response } }

  /// Gives the answer as a function that one of the server's own threads calls, when making it is work.
  public func send(_ response: @escaping @Sendable () -> HTTPResponse) {
    state.withLock { state in
      guard state.response == nil, !state.isAnswered, !state.isOver else { return }
      state.response = response
      Self.resume(&state)
    }
  }

  /// Says that a streamed body has more.
  public func wake() {
    state.withLock { state in
      state.wasWoken = true
      if state.isAnswered { Self.resume(&state) }
    }
  }

  /// Calls `body` once when the client has gone before its answer was complete; at once where it already has.
  public func whenGone(_ body: @escaping @Sendable () -> Void) {
    let isGone = state.withLock { state in
      // An exchange that is over has nobody left who would call it.
      if !state.isGone, !state.isOver { state.whenGone = body }
      return state.isGone
    }
    if isGone { body() }
  }

  /// Calls `body` once when the exchange is over.
  public func whenOver(_ body: @escaping @Sendable (Outcome) -> Void) { state.withLock { $0.whenOver = body } }

  /// Breaks the connection off, whatever state the answer is in.
  func breakOff() {
    let notice = state.withLock { state -> (@Sendable () -> Void)? in
      guard !state.isOver else { return nil }
      shutdown(state.descriptor, Int32(SHUT_RDWR))
      return Self.markGone(&state)
    }
    notice?()
  }

  private static func resume(_ state: inout State) {
    guard state.isSuspended else { return }
    state.isSuspended = false
    angel_http_resume(state.handle.pointer)
  }

  /// Notes that nobody listens any more, and lets the library find out too; what is to be called, outside of the lock.
  private static func markGone(_ state: inout State) -> (@Sendable () -> Void)? {
    state.isGone = true
    resume(&state)
    defer { state.whenGone = nil }
    return state.whenGone
  }
}

// What the library's callbacks and the sweeper ask.
extension HTTPExchange {
  /// Takes a piece of the body. What is beyond the limit is read and dropped, so that the refusal can be read; false when
  /// there is no end to it.
  func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { state in
      guard state.dropping == nil else {
        state.droppedBytes += bytes.count
        return state.droppedBytes < 8 * bodyLimit
      }
      if state.body.count + bytes.count > bodyLimit {
        state.dropping = .tooLong
      } else if !bodies.take(bytes.count) {
        state.dropping = .serverFull
      } else {
        state.body.append(contentsOf: bytes)
        return true
      }
      bodies.giveBack(state.body.count)
      state.body = []
      return true
    }
  }

  /// Answers, or suspends the connection until there is an answer. `respond` is called the first time.
  func proceed(_ respond: (HTTPExchange) -> Void) -> angel_http_verdict {
    let isFirst = state.withLock { state in
      defer { state.isWhole = true }
      return !state.isWhole
    }
    if isFirst { respond(self) }
    let (make, isGone) = state.withLock { state -> ((@Sendable () -> HTTPResponse)?, Bool) in
      guard !state.isGone else { return (nil, true) }
      guard let make = state.response else {
        state.isSuspended = true
        angel_http_suspend(state.handle.pointer)
        return (nil, false)
      }
      state.response = nil
      state.isAnswered = true
      return (make, false)
    }
    guard let make else { return isGone ? ANGEL_HTTP_CLOSE : ANGEL_HTTP_GO_ON }
    let response = make()
    let handle = state.withLock { state in
      state.status = response.status
      if case .bytes(let bytes) = response.body { state.sentBytes = bytes.count }
      return state.handle
    }
    return queue(response, on: handle) ? ANGEL_HTTP_GO_ON : ANGEL_HTTP_CLOSE
  }

  private func queue(_ response: HTTPResponse, on handle: Handle) -> Bool {
    Self.withHead(response) { head in
      switch response.body {
      case .bytes(let bytes):
        bytes.withUnsafeBytes { angel_http_respond(handle.pointer, head, $0.baseAddress, $0.count) != 0 }
      case .stream(let source):
        angel_http_respond_streaming(
          handle.pointer, head, Unmanaged.passRetained(Reader(self, source)).toOpaque(),
          { context, _, buffer, room in
            guard let context, let buffer else { return ssize_t(ANGEL_HTTP_BREAK) }
            let reader = Unmanaged<Reader>.fromOpaque(context).takeUnretainedValue()
            return reader.exchange.read(reader.source, into: UnsafeMutableRawBufferPointer(start: buffer, count: room))
          }, { context in if let context { Unmanaged<Reader>.fromOpaque(context).release() } }) != 0
      }
    }
  }

  private static func withHead<Result>(
    _ response: HTTPResponse, _ body: (UnsafePointer<angel_http_head>) -> Result
  ) -> Result {
    let texts: [UnsafeMutablePointer<CChar>?] = response.headers.flatMap { [strdup($0.name), strdup($0.value)] }
    defer { for text in texts { free(text) } }
    let lines: [UnsafePointer<CChar>?] = texts.map { UnsafePointer($0) }
    return lines.withUnsafeBufferPointer { lines in
      var head = angel_http_head(
        status: UInt32(response.status), headers: lines.baseAddress, header_count: lines.count)
      return body(&head)
    }
  }

  private final class Reader: Sendable {
    let exchange: HTTPExchange
    let source: any ResponseSource
    init(_ exchange: HTTPExchange, _ source: any ResponseSource) {
      self.exchange = exchange
      self.source = source
    }
  }

  /// Fills the library's buffer from a streamed body; suspends where there is nothing.
  private func read(_ source: any ResponseSource, into buffer: UnsafeMutableRawBufferPointer) -> ssize_t {
    while true {
      let rest = leftover.withLock { rest -> Int in
        let count = min(rest.count, buffer.count)
        buffer.copyBytes(from: rest.prefix(count))
        rest = rest.dropFirst(count)
        return count
      }
      if rest > 0 {
        state.withLock { $0.sentBytes += rest }
        return rest
      }
      // Cleared before asking: what comes while the source is asked is asked for again.
      let isGone = state.withLock { state in
        state.wasWoken = false
        return state.isGone
      }
      if isGone { return ssize_t(ANGEL_HTTP_BREAK) }
      switch source.next() {
      case .bytes(let bytes): leftover.withLock { $0 = bytes[...] }
      case .end: return ssize_t(ANGEL_HTTP_END)
      case .nothingYet:
        let waits = state.withLock { state in
          guard !state.wasWoken, !state.isGone else { return false }
          state.isSuspended = true
          angel_http_suspend(state.handle.pointer)
          return true
        }
        if waits { return 0 }
      }
    }
  }

  /// The library is done with the exchange.
  func end(isWhole: Bool) {
    let (notice, over, outcome) = state.withLock { state in
      state.isOver = true
      bodies.giveBack(state.body.count)
      state.body = []
      // It may know the exchange.
      state.response = nil
      let notice = isWhole ? nil : Self.markGone(&state)
      state.whenGone = nil
      defer { state.whenOver = nil }
      return (
        notice, state.whenOver, Outcome(status: state.status, isWhole: isWhole, sentBytes: state.sentBytes)
      )
    }
    notice?()
    over?(outcome)
  }

  /// Looks after the exchange from time to time: the library does not notice that the client of a suspended connection has
  /// gone, nor one that went in the middle of its request; and a body may come too slowly.
  func sweep(now: Double, bodySeconds: Double) {
    let notice = state.withLock { state -> (@Sendable () -> Void)? in
      guard !state.isOver, !state.isGone else { return nil }
      if !state.isWhole {
        if now - state.since > bodySeconds || HangUp.has(state.descriptor) {
          shutdown(state.descriptor, Int32(SHUT_RDWR))
        }
        return nil
      }
      guard state.isSuspended, HangUp.has(state.descriptor) else { return nil }
      return Self.markGone(&state)
    }
    notice?()
  }
}
