import AngelCore

/// Which hub is asked, and with whose token.
struct HubSettings: Sendable {
  /// Scheme, host and perhaps a path, without a slash at the end.
  let endpoint: String
  let token: String?
  /// Where the token was found, for messages.
  let tokenSource: String

  static let publicEndpoint = "https://huggingface.co"

  /// Reads the variables and the token's file. Throws `HubError` or `StoreError`.
  init(_ environment: Environment) throws {
    var address = environment.hubEndpoint ?? Self.publicEndpoint
    while address.hasSuffix("/") { address.removeLast() }
    guard let scheme = ModelPull.scheme(of: address), scheme == "https" || scheme == "http",
      address.utf8.count > scheme.utf8.count + 3, address.unicodeScalars.allSatisfy(\.isPrintable),
      !address.contains("?"), !address.contains("#")
    else { throw HubError.invalidEndpoint(ModelPull.withoutCredentials(address)) }
    endpoint = address
    var text = environment.hubToken
    var source = "HF_TOKEN"
    if text == nil, let path = environment.hubTokenPath, FilePath.kind(path) == .file {
      source = "'\(path)'"
      text = String(decoding: try FileOperations.contents(of: path, limit: 64 << 10), as: UTF8.self)
    }
    tokenSource = source
    let bare = (text ?? "").split(whereSeparator: \.isWhitespace)
    guard bare.count <= 1, bare.first?.unicodeScalars.allSatisfy(\.isPrintable) ?? true else {
      throw HubError.invalidToken(source: source)
    }
    token = bare.first.map(String.init)
  }

  /// Where people read about a model and ask for access.
  func page(of repository: String) -> String { endpoint + "/" + repository }

  func url(ofModel repository: String, revision: String) -> String {
    "\(endpoint)/api/models/\(Self.escaped(repository))/revision/\(Self.escaped(revision, keepsSlashes: false))?blobs=true"
  }

  func url(ofFile path: String, in repository: String, commit: String) -> String {
    "\(endpoint)/\(Self.escaped(repository))/resolve/\(commit)/\(Self.escaped(path))"
  }

  /// Percent escapes for everything but unreserved characters (RFC 3986, 2.3) and, mostly, slashes.
  private static func escaped(_ text: String, keepsSlashes: Bool = true) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      let scalar = Unicode.Scalar(byte)
      let isPlain =
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
        || "-._~".utf8.contains(byte) || (keepsSlashes && scalar == "/")
      bytes += isPlain ? [byte] : [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
