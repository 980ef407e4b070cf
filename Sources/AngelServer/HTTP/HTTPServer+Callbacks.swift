import AngelCore
import CAngelShims
import Glibc

extension HTTPServer {
  /// What the library calls, on its threads.
  static func setCallbacks(_ options: UnsafeMutablePointer<angel_http_options>) {
    options.pointee.connection = { context, connection, slot, closed in
      guard let context, let connection, let slot else { return }
      let server = Unmanaged<Context>.fromOpaque(context).takeUnretainedValue()
      if closed == 0 {
        let descriptor = angel_http_socket(connection)
        let made = HTTPConnections.Connection(
          descriptor: descriptor, clientAddress: SocketAddress(descriptor, getpeername)?.host ?? "",
          now: MonotonicClock.seconds())
        slot.pointee = Unmanaged.passRetained(made).toOpaque()
        server.connections.add(made)
      } else if let kept = slot.pointee {
        server.connections.remove(Unmanaged<HTTPConnections.Connection>.fromOpaque(kept).takeRetainedValue())
        slot.pointee = nil
      }
    }
    options.pointee.begin = { context, connection, path, method in
      guard let context, let connection, let path, let method, let slot = angel_http_slot(connection) else {
        return nil
      }
      let server = Unmanaged<Context>.fromOpaque(context).takeUnretainedValue()
      // Counted first: who closes the server waits for all that it does not find closed.
      server.exchangeCount.add(1, ordering: .sequentiallyConsistent)
      guard !server.isClosed.load(ordering: .sequentiallyConsistent) else {
        server.exchangeCount.subtract(1, ordering: .acquiringAndReleasing)
        return nil
      }
      let kept = Unmanaged<HTTPConnections.Connection>.fromOpaque(slot).takeUnretainedValue()
      var head = HTTPServer.head(of: connection, path: path, method: method)
      head.clientAddress = kept.clientAddress
      let exchange = HTTPExchange(
        head, HTTPExchange.Handle(pointer: connection), descriptor: angel_http_socket(connection),
        bodyLimit: server.options.bodyLimit, bodies: server.bodies, keepsBody: server.wantsBody(head),
        now: MonotonicClock.seconds())
      kept.begin(exchange)
      return Unmanaged.passRetained(Served(server, kept, exchange)).toOpaque()
    }
    options.pointee.body = { served, bytes, count in
      guard let served, let bytes else { return ANGEL_HTTP_CLOSE }
      let exchange = Unmanaged<Served>.fromOpaque(served).takeUnretainedValue().exchange
      return exchange.append(UnsafeRawBufferPointer(start: bytes, count: count)) ? ANGEL_HTTP_GO_ON : ANGEL_HTTP_CLOSE
    }
    options.pointee.proceed = { served, _ in
      guard let served else { return ANGEL_HTTP_CLOSE }
      let it = Unmanaged<Served>.fromOpaque(served).takeUnretainedValue()
      return it.exchange.proceed(it.server.respond)
    }
    options.pointee.end = { served, whole in
      guard let served else { return }
      let it = Unmanaged<Served>.fromOpaque(served).takeRetainedValue()
      it.connection.end(now: MonotonicClock.seconds())
      it.exchange.end(isWhole: whole != 0)
      it.server.exchangeCount.subtract(1, ordering: .acquiringAndReleasing)
    }
  }

  /// An exchange with where it belongs.
  private final class Served: Sendable {
    let server: Context
    let connection: HTTPConnections.Connection
    let exchange: HTTPExchange

    init(_ server: Context, _ connection: HTTPConnections.Connection, _ exchange: HTTPExchange) {
      self.server = server
      self.connection = connection
      self.exchange = exchange
    }
  }

  private static func head(
    of connection: OpaquePointer, path: UnsafePointer<CChar>, method: UnsafePointer<CChar>
  ) -> HTTPRequestHead {
    var head = HTTPRequestHead(method: String(cString: method), path: String(cString: path))
    for name in HTTPRequestHead.keptHeaders {
      if let value = angel_http_header(connection, name) { head.headers[name] = String(cString: value) }
    }
    return head
  }
}
