public import AngelCore
import CSodium

/// A key as it is kept: what it may do, and a digest by which it is known again, but not the key itself.
///
/// A key has 256 random bits, so a plain digest (BLAKE2b) tells nobody anything: there is nothing to guess.
public struct APIKey: Sendable, Equatable {
  /// What people call it, and what the request log says.
  public var name: String
  /// BLAKE2b of the key, 64 hexadecimal digits.
  public var digest: String
  /// Names of models; empty means all.
  public var models: [String] = []
  /// Paths of endpoints, such as `/v1/embeddings`; empty means all.
  public var endpoints: [String] = []
  /// At most so many requests, and so many tokens of prompts and answers, a minute; nil is no limit.
  public var requestsPerMinute: Int?
  public var tokensPerMinute: Int?
  /// Seconds since 1970.
  public var created: Int

  public init(name: String, digest: String, created: Int) {
    self.name = name
    self.digest = digest
    self.created = created
  }

  /// Makes a new key: the text, which is shown once, and what is kept of it.
  public static func make(name: String, now: Int) -> (text: String, key: APIKey) {
    _ = sodium_init()
    var bytes = [UInt8](repeating: 0, count: 32)
    randombytes_buf(&bytes, bytes.count)
    let text = "ak-" + Digest.hexadecimal(bytes)
    return (text, APIKey(name: name, digest: digest(of: text), created: now))
  }

  /// The digest by which a key is known.
  public static func digest(of text: String) -> String { Digest.blake2b(of: text) }

  func allows(endpoint: String) -> Bool { endpoints.isEmpty || endpoints.contains(endpoint) }
  func allows(model: String) -> Bool { models.isEmpty || models.contains(model) }
}

extension APIKey {
  /// As it stands in a key file.
  public var json: JSONValue {
    var object = JSONObject([
      ("name", .string(name)), ("digest", .string(digest)), ("created", .integer(created)),
    ])
    if !models.isEmpty { object["models"] = .array(models.map { .string($0) }) }
    if !endpoints.isEmpty { object["endpoints"] = .array(endpoints.map { .string($0) }) }
    if let requestsPerMinute { object["requests_per_minute"] = .integer(requestsPerMinute) }
    if let tokensPerMinute { object["tokens_per_minute"] = .integer(tokensPerMinute) }
    return .object(object)
  }

  private static let fields: [RequestField] = [
    RequestField("name", .string, isRequired: true, "what people call it"),
    RequestField("digest", .string, isRequired: true, "BLAKE2b of the key"),
    RequestField("created", .integer(0...1 << 53), isRequired: true, "seconds since 1970"),
    RequestField("models", .array(.string, 0...1000), "names of models"),
    RequestField("endpoints", .array(.string, 0...100), "paths of endpoints"),
    RequestField("requests_per_minute", .integer(1...1 << 40), "a limit"),
    RequestField("tokens_per_minute", .integer(1...1 << 40), "a limit"),
  ]

  /// Reads what `json` wrote; what is not known is refused, since it may have meant a restriction.
  init(json: JSONValue) throws(APIError) {
    guard case .object(let object) = json else { throw APIError(status: 400, "a key is \(json.kind), not an object") }
    var ignored: [String] = []
    try FieldKind.check(object, Self.fields, "", &ignored)
    self.init(
      name: object["name"]?.string ?? "", digest: object["digest"]?.string ?? "",
      created: object["created"]?.integer ?? 0)
    models = (object["models"]?.array ?? []).compactMap(\.string)
    endpoints = (object["endpoints"]?.array ?? []).compactMap(\.string)
    requestsPerMinute = object["requests_per_minute"]?.integer
    tokensPerMinute = object["tokens_per_minute"]?.integer
  }
}
