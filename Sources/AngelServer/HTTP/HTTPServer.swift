import AngelCore
import CAngelShims
import Glibc
import Synchronization

/// An HTTP/1.1 server: its threads receive requests and hand each one, whole, to a function that answers now or later.
public final class HTTPServer: Sendable {
  public let port: Int
  private let listener: Int32
  private let context: Context
  private let daemon: Daemon
  private let sweeper: DedicatedThread

  /// The library's daemon with what it points to.
  // SAFETY: pointers that are made in `init` and given back in `stop`; the library's calls are safe from any thread.
  private struct Daemon: @unchecked Sendable {
    let pointer: OpaquePointer
    let options: UnsafeMutablePointer<angel_http_options>
    let texts: [UnsafeMutablePointer<CChar>?]
  }

  /// What callbacks know; it lives as long as the daemon.
  final class Context: Sendable {
    let options: HTTPOptions
    let connections = HTTPConnections()
    let bodies: BodyBudget
    let wantsBody: @Sendable (HTTPRequestHead) -> Bool
    let respond: @Sendable (HTTPExchange) -> Void
    let exchangeCount = Atomic<Int>(0)
    /// Whether requests that come in are hung up on.
    let isClosed = Atomic<Bool>(false)
    let isStopping = Atomic<Bool>(false)

    init(
      _ options: HTTPOptions, _ wantsBody: @escaping @Sendable (HTTPRequestHead) -> Bool,
      _ respond: @escaping @Sendable (HTTPExchange) -> Void
    ) {
      self.options = options
      bodies = BodyBudget(limit: options.bodiesLimit)
      self.wantsBody = wantsBody
      self.respond = respond
    }
  }

  /// Starts to listen.
  ///
  /// - Parameters:
  ///   - onSweep: called ten times a second on a thread of its own.
  ///   - wantsBody: whether a request's body is to be kept: those that will be refused anyway must not fill the memory.
  ///   - respond: called on a thread of the server with each request; it must return quickly, and see to it that
  ///     `HTTPExchange.send` is called, by it or by another thread.
  public init(
    _ options: HTTPOptions, onSweep: @escaping @Sendable () -> Void = {},
    wantsBody: @escaping @Sendable (HTTPRequestHead) -> Bool = { _ in true },
    respond: @escaping @Sendable (HTTPExchange) -> Void
  ) throws {
    guard angel_http_available() != 0 else { throw ServerError.libraryMissing }
    let version = String(cString: angel_http_version())
    let isTLS = options.certificate != nil || options.privateKey != nil
    if isTLS {
      guard options.certificate != nil, options.privateKey != nil else { throw ServerError.certificateWithoutKey }
      guard angel_http_has_tls() != 0 else { throw ServerError.libraryWithoutTLS(version: version) }
    }
    // A client that goes away is an error of send, not the end of the program.
    signal(SIGPIPE, SIG_IGN)
    let socket = try ListeningSocket(address: options.address, port: options.port)
    let context = Context(options, wantsBody, respond)
    guard let daemon = Self.start(context, socket.descriptor) else {
      close(socket.descriptor)
      throw ServerError.refused(version: version, isTLS: isTLS)
    }
    self.context = context
    self.daemon = daemon
    listener = socket.descriptor
    port = socket.port
    do {
      sweeper = try DedicatedThread {
        while !context.isStopping.load(ordering: .acquiring) {
          Self.sweep(context)
          onSweep()
          usleep(100_000)
        }
      }
    } catch {
      Self.end(daemon, context, listener: socket.descriptor)
      throw error
    }
  }

  /// Requests that are not answered to the end yet.
  public var exchangeCount: Int { context.exchangeCount.load(ordering: .acquiring) }
  public var connectionCount: Int { context.connections.count }

  /// Ends the server: nothing new is accepted, answers under way are broken off. Call it once.
  public func stop() {
    // Not MHD_quiesce_daemon, which with several threads takes the listening socket away twice now and then, and aborts then.
    context.isClosed.store(true, ordering: .sequentiallyConsistent)
    // The library must not be stopped while a connection is suspended.
    while context.exchangeCount.load(ordering: .sequentiallyConsistent) > 0 {
      for exchange in exchanges() { exchange.breakOff() }
      usleep(5_000)
    }
    context.isStopping.store(true, ordering: .releasing)
    sweeper.join()
    Self.end(daemon, context, listener: listener)
  }

  private static func end(_ daemon: Daemon, _ context: Context, listener: Int32) {
    angel_http_stop(daemon.pointer)
    close(listener)
    daemon.options.deinitialize(count: 1)
    daemon.options.deallocate()
    for text in daemon.texts { free(text) }
    Unmanaged.passUnretained(context).release()
  }

  private func exchanges() -> [HTTPExchange] {
    context.connections.exchanges(now: MonotonicClock.seconds(), headSeconds: .infinity)
  }

  private static func sweep(_ context: Context) {
    let now = MonotonicClock.seconds()
    for exchange in context.connections.exchanges(now: now, headSeconds: context.options.headSeconds) {
      exchange.sweep(now: now, bodySeconds: context.options.bodySeconds)
    }
  }

  private static func start(_ context: Context, _ listener: Int32) -> Daemon? {
    let texts = [context.options.certificate, context.options.privateKey].map { $0.flatMap { strdup($0) } }
    let options = UnsafeMutablePointer<angel_http_options>.allocate(capacity: 1)
    options.initialize(to: angel_http_options())
    options.pointee.listener = listener
    options.pointee.threads = UInt32(max(2, context.options.threadCount))
    // Answers are made on these threads too: some render a model's chat template.
    options.pointee.stack_bytes = DedicatedThread.stackByteCount
    options.pointee.connections = UInt32(context.options.connectionLimit)
    options.pointee.idle_seconds = UInt32(context.options.stallSeconds)
    options.pointee.head_bytes = context.options.headLimit
    options.pointee.certificate = UnsafePointer(texts[0])
    options.pointee.key = UnsafePointer(texts[1])
    options.pointee.context = Unmanaged.passRetained(context).toOpaque()
    setCallbacks(options)
    guard let daemon = angel_http_start(options) else {
      Unmanaged.passUnretained(context).release()
      options.deallocate()
      for text in texts { free(text) }
      return nil
    }
    return Daemon(pointer: daemon, options: options, texts: texts)
  }
}
