import AngelCore

/// What the log says of a request: figures and names, never what was asked or answered, and no keys.
struct RequestRecord: Sendable {
  var model: String?
  var promptTokens: Int?
  var cachedTokens: Int?
  var completionTokens: Int?
  var secondsQueued: Double?
  var secondsToFirstToken: Double?
  /// The code of the error it ended with.
  var error: String?
}

/// A line for each request that has ended.
public struct RequestLog: Sendable {
  /// How lines look.
  public enum Form: String, CaseIterable, Sendable { case text, json, off }

  private let form: Form
  private let write: @Sendable (String) -> Void

  public init(_ form: Form, write: @escaping @Sendable (String) -> Void) {
    self.form = form
    self.write = write
  }

  func add(
    _ record: RequestRecord, _ head: HTTPRequestHead, id: String, key: String?, _ outcome: HTTPExchange.Outcome,
    seconds: Double
  ) {
    guard form != .off else { return }
    var members: [(String, JSONValue)] = [
      ("time", .string(Timestamp.now())), ("request", .string(id)), ("client", .string(head.clientAddress)),
      ("method", .string(head.method)), ("path", .string(String(head.path.prefix(200)))),
      ("status", .integer(outcome.status)), ("seconds", Self.rounded(seconds)), ("bytes", .integer(outcome.sentBytes)),
    ]
    if !outcome.isWhole { members.append(("broken_off", true)) }
    let rest: [(String, JSONValue?)] = [
      ("key", key.map(JSONValue.string)), ("model", record.model.map(JSONValue.string)),
      ("error", record.error.map(JSONValue.string)), ("prompt_tokens", record.promptTokens.map(JSONValue.integer)),
      ("cached_tokens", record.cachedTokens.map(JSONValue.integer)),
      ("completion_tokens", record.completionTokens.map(JSONValue.integer)),
      ("seconds_queued", record.secondsQueued.map(Self.rounded)),
      ("seconds_to_first_token", record.secondsToFirstToken.map(Self.rounded)),
    ]
    members += rest.compactMap { name, value in value.map { (name, $0) } }
    switch form {
    case .off: break
    case .json: write(JSONValue.object(JSONObject(members)).encoded() + "\n")
    case .text: write(members.map(Self.text).joined(separator: " ") + "\n")
    }
  }

  /// `name=value`, strings with anything unusual in quotes; the first members without their names.
  private static func text(_ name: String, _ value: JSONValue) -> String {
    let isBare = ["time", "client", "method", "path", "status"].contains(name)
    var shown = value.encoded()
    if case .string(let text) = value, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") }) {
      shown = text
    }
    return isBare ? shown : "\(name)=\(shown)"
  }

  /// To a tenth of a millisecond.
  private static func rounded(_ seconds: Double) -> JSONValue { .number((seconds * 10_000).rounded() / 10_000) }
}
