import Glibc

/// A socket that listens on one numeric address.
struct ListeningSocket {
  let descriptor: Int32
  /// The port in use, also where port 0 asked for any.
  let port: Int

  /// Listens on `address` (IPv4 or IPv6; `localhost` is 127.0.0.1).
  init(address: String, port: Int) throws(ServerError) {
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(address == "localhost" ? "127.0.0.1" : address, "\(port)", &hints, &list)
    guard code == 0, let found = list else { throw .badAddress(address) }
    defer { freeaddrinfo(list) }
    let info = found.pointee
    let descriptor = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
    guard descriptor >= 0 else { throw .cannotListen(address: address, port: port, reason: Self.reason) }
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0, listen(descriptor, 1024) == 0 else {
      let error = ServerError.cannotListen(address: address, port: port, reason: Self.reason)
      close(descriptor)
      throw error
    }
    // Several threads wait for the same connection.
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    self.descriptor = descriptor
    self.port = Self.port(of: descriptor)
  }

  private static var reason: String { String(cString: strerror(errno)) }

  private static func port(of descriptor: Int32) -> Int {
    SocketAddress(descriptor, getsockname)?.port ?? 0
  }
}

/// One end of a connection.
struct SocketAddress {
  /// In numbers.
  let host: String
  let port: Int

  /// Asks `name` (getsockname or getpeername) about a socket.
  init?(
    _ descriptor: Int32,
    _ name: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
  ) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var service = [CChar](repeating: 0, count: 32)
    let code = withUnsafeMutableBytes(of: &storage) { bytes -> Int32 in
      guard let place = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), name(descriptor, place, &length) == 0
      else { return -1 }
      return getnameinfo(
        place, length, &host, socklen_t(host.count), &service, socklen_t(service.count), NI_NUMERICHOST | NI_NUMERICSERV
      )
    }
    guard code == 0 else { return nil }
    func text(_ characters: [CChar]) -> String {
      String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    self.host = text(host)
    port = Int(text(service)) ?? 0
  }
}
