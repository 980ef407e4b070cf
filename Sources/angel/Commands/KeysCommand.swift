import AngelCore
import AngelServer
import Glibc

/// `angel keys`: the API keys of a server.
enum KeysCommand: Command {
  static let name = "keys"
  static let summary = "make, list and revoke the API keys of angel serve"
  static let details = """
    add NAME prints a new key, once: the file keeps only a digest of it. A running server follows the file: a key can be used
    as soon as it has been added, and one that is revoked ends the requests it began.
    """
  static let positionals = [
    Positional(name: "ACTION", choices: ["add", "list", "revoke"], help: "what to do"),
    Positional(name: "NAME", isRequired: false, help: "of the key, for add and revoke"),
  ]
  static let file = Option.text("keys", placeholder: "FILE", default: "keys.json", help: "the file with the keys")
  static let models = Option.texts("model", placeholder: "MODEL", help: "allow this model only; repeat for more")
  static let endpoints = Option.texts(
    "endpoint", placeholder: "PATH", help: "allow this endpoint only, as /v1/embeddings; repeat for more")
  static let requests = Option<Int?>.integer(
    "requests-per-minute", in: 1...1 << 40, help: "the most requests a minute")
  static let tokens = Option<Int?>.integer(
    "tokens-per-minute", in: 1...1 << 40, help: "the most tokens of prompts and answers a minute")
  static let options = [
    file.declaration, models.declaration, endpoints.declaration, requests.declaration, tokens.declaration,
  ]
  static let examples = [
    "keys add alice", "keys add batch --endpoint /v1/embeddings --tokens-per-minute 100000", "keys revoke alice",
    "keys list --keys /etc/angel/keys.json",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let file = KeyFile(path: arguments[file])
    switch arguments.positional(0) {
    case "list": try list(try file.read(mayBeAbsent: true), context)
    case "revoke": try revoke(try arguments.required(1, "NAME", name), in: file, context)
    default: try add(try arguments.required(1, "NAME", name), to: file, arguments, context)
    }
  }

  private static func add(
    _ name: String, to file: KeyFile, _ arguments: Arguments, _ context: CommandContext
  ) throws {
    var keys = try file.read(mayBeAbsent: true)
    guard !keys.contains(where: { $0.name == name }) else {
      throw UsageError("there is a key '\(name)' already: revoke it first", command: Self.name)
    }
    for path in arguments[endpoints] where !APIServer.endpointPaths.contains(path) {
      throw UsageError(
        "there is no endpoint '\(path)'" + Suggestion.question(for: path, among: APIServer.endpointPaths),
        command: Self.name)
    }
    var (text, key) = APIKey.make(name: name, now: context.startTime)
    key.models = arguments[models]
    key.endpoints = arguments[endpoints]
    key.requestsPerMinute = arguments[requests]
    key.tokensPerMinute = arguments[tokens]
    keys.append(key)
    try file.write(keys)
    if context.printsJSON { return try context.print(["name": .string(name), "key": .string(text)]) }
    try context.output.line(text)
    context.log.note("this is the only time that the key is shown; '\(file.path)' keeps a digest")
  }

  private static func revoke(_ name: String, in file: KeyFile, _ context: CommandContext) throws {
    let keys = try file.read()
    let left = keys.filter { $0.name != name }
    guard left.count < keys.count else {
      throw UsageError(
        "there is no key '\(name)' in '\(file.path)'" + Suggestion.question(for: name, among: keys.map(\.name)),
        command: Self.name)
    }
    try file.write(left)
    if context.printsJSON { return try context.print(["revoked": .string(name)]) }
    try context.output.line("revoked \(name)")
  }

  private static func list(_ keys: [APIKey], _ context: CommandContext) throws {
    if context.printsJSON {
      return try context.print([
        "keys": .array(
          keys.map { key in
            var object = key.json.object ?? JSONObject()
            object["digest"] = nil
            return .object(object)
          })
      ])
    }
    var table = Table([
      ("NAME", .left), ("MODELS", .left), ("ENDPOINTS", .left), ("REQUESTS/MIN", .right), ("TOKENS/MIN", .right),
    ])
    for key in keys {
      table.append([
        key.name, key.models.isEmpty ? "all" : key.models.joined(separator: ","),
        key.endpoints.isEmpty ? "all" : key.endpoints.joined(separator: ","),
        key.requestsPerMinute.map { "\($0)" } ?? "-", key.tokensPerMinute.map { "\($0)" } ?? "-",
      ])
    }
    try context.output.line(table.lines.joined(separator: "\n"))
  }
}
