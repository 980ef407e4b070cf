public import AngelCore

/// Why a server cannot be started, or its files not be used.
public enum ServerError: DescribedError, Equatable {
  case libraryMissing
  case libraryWithoutTLS(version: String)
  case badAddress(String)
  case cannotListen(address: String, port: Int, reason: String)
  case refused(version: String, isTLS: Bool)
  case certificateWithoutKey
  case keyFile(path: String, reason: String)

  public var description: String {
    switch self {
    case .libraryMissing:
      "serving needs libmicrohttpd, which is not installed: apt-get install libmicrohttpd12"
    case .libraryWithoutTLS(let version):
      "libmicrohttpd \(version) was built without TLS: install Debian's libmicrohttpd12, or leave out --tls-certificate"
    case .badAddress(let address):
      "'\(address)' is no numeric address: use one such as 127.0.0.1, 0.0.0.0 or ::"
    case .cannotListen(let address, let port, let reason):
      "cannot listen on \(address), port \(port): \(reason); choose another with --port, or 0 for any free one"
    case .refused(let version, let isTLS):
      "libmicrohttpd \(version) did not start"
        + (isTLS
          ? ": certificate and key must be PEM texts that belong together" : ": raise the limits on threads and files")
    case .certificateWithoutKey: "TLS needs a certificate and its key: give both --tls-certificate and --tls-key"
    case .keyFile(let path, let reason): "key file '\(path)': \(reason)"
    }
  }
}
