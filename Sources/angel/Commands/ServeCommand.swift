import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelTensor
import AngelServer
import Glibc

/// `angel serve MODEL…`: models behind the HTTP interfaces of OpenAI, Anthropic and Ollama.
enum ServeCommand: Command {
  static let name = "serve"
  static let summary = "serve models over HTTP, in OpenAI's interface, Anthropic's and Ollama's"
  static let details = """
    Answers at http://HOST:PORT/v1 as OpenAI does, at /v1/messages as Anthropic, and at /api as Ollama, for their official
    clients and curl; Documentation/Compatibility.md lists the fields, and /openapi.json describes them. Answers never depend on
    what else is served at the time.

    The first MODEL is loaded at once, the others when they are first asked for; where memory does not allow all of them, the
    one that nobody has asked for longest is unloaded. Encoders answer /v1/embeddings and /v1/rerank.

    --adapter puts a PEFT folder beside the first MODEL, under a name of its own (that of the folder where none is given): a
    request that names it as its model is answered with it, in one batch with all others. --adapter-loading lets clients load
    and unload more at run time.

    Ctrl-C or SIGTERM ends the server once the requests in hand have been answered; a second one, or --drain, cuts it short.
    Keys come from a file that `angel keys` writes; changes to it take effect at once. The log has a line for each request,
    without what was asked or answered.
    """
  static let positionals = [
    Positional(name: "MODEL", repeats: true, kind: .model, help: "names in the store, folders or files")
  ]
  static let host = Option.text(
    "host", placeholder: "ADDRESS", default: "127.0.0.1", help: "numeric address to listen on; 0.0.0.0 for all")
  static let port = Option.integer("port", default: 8000, in: 0...65535, help: "port to listen on; 0: any free one")
  static let keys = Option.text("keys", placeholder: "FILE", help: "ask for API keys, which are in FILE")
  static let certificate = Option.text("tls-certificate", placeholder: "FILE", help: "serve HTTPS with this PEM file")
  static let privateKey = Option.text("tls-key", placeholder: "FILE", help: "the certificate's key, PEM")
  static let cors = Option.texts("cors", placeholder: "ORIGIN", help: "let web pages of ORIGIN ask; * for all")
  static let hostName = Option.texts(
    "host-name", placeholder: "NAME", help: "another name of this server, where it listens on 127.0.0.1 without keys")
  static let log = Option<RequestLog.Form>.choice("log", default: .text, help: "a line for each request")
  static let drain = Option.integer(
    "drain", placeholder: "SECONDS", default: 300, in: 0...86_400, help: "how long requests in hand may take at the end"
  )
  static let concurrency = Option.integer(
    "concurrency", default: 32, in: 1...1024, help: "answers that are made at once")
  static let cacheTokens = Option<Int?>.integer(
    "cache-tokens", in: 16...1 << 30, help: "tokens in the cache, of all requests (default: 1 to 4 contexts, as fits)")
  static let queue = Option.integer(
    "queue", placeholder: "TOKENS", default: 1 << 18, in: 1...1 << 30,
    help: "tokens that may wait; more are refused (429)")
  static let bodyLimit = Option<Int>.custom(
    "body-limit", placeholder: "SIZE", expects: "a size such as 16MiB", default: 16 << 20, defaultText: "16MiB",
    help: "the longest body of a request"
  ) { text in (try? MemoryFormat.byteCount(of: text)).flatMap { (1 << 10...1 << 32).contains($0) ? $0 : nil } }
  /// Where guesses come from.
  enum Guesses: String, CaseIterable { case off, lookup }
  static let speculation = Option<Guesses>.choice(
    "speculate", default: .lookup, help: "guess tokens from what texts repeat; answers stay the same")
  static let adapters = Option.texts(
    "adapter", placeholder: "[NAME=]FOLDER", help: "an adapter of `angel train` or PEFT to serve beside the first MODEL"
  )
  static let adapterLimit = Option<Int?>.integer(
    "max-adapters", in: 1...1024, help: "adapters at once (default: those given, or 64 with --adapter-loading)")
  static let adapterLoading = Option.flag(
    "adapter-loading", help: "let clients load adapters from any folder of this machine, and unload them")
  static let options =
    [
      host.declaration, port.declaration, keys.declaration, certificate.declaration, privateKey.declaration,
      cors.declaration, hostName.declaration, log.declaration, drain.declaration, concurrency.declaration,
      cacheTokens.declaration, queue.declaration, bodyLimit.declaration, speculation.declaration, adapters.declaration,
      adapterLimit.declaration, adapterLoading.declaration,
    ] + SessionOptions.withoutAdapter
  static let examples = [
    "serve smollm2", "serve smollm2 --adapter keeper=runs/lora/adapter", "serve smollm2 minilm --port 8080 --log json",
    "serve smollm2 --host 0.0.0.0 --keys keys.json --tls-certificate cert.pem --tls-key key.pem",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    _ = try arguments.required(0, "MODEL", name)
    try context.interruption.deferred {
      let budget = arguments[SessionOptions.memory] ?? MachineMemory.current().defaultBudget
      let models = try ServedModels(arguments, budget: budget, context)
      let shelf = try ModelShelf(
        models.all, adapters: models.adapters, budget: budget, log: context.log)
      let keys = try arguments[keys].map { try KeyRing(KeyFile(path: $0), log: context.log) }
      let server = try APIServer(shelf, keys: keys, options: try options(arguments, context))
      // What is wrong with the first model is said before anybody can ask for it.
      let first = try loadFirst(shelf)
      let port = try server.start()
      try announce(shelf, first, port: port, arguments, context)
      wait(server, arguments, context)
    }
  }

  private static func options(_ arguments: Arguments, _ context: CommandContext) throws -> ServerOptions {
    func text(_ option: Option<String?>) throws -> String? {
      try arguments[option].map { path in
        let file = try MappedFile(path: path)
        return try file.withBytes(0..<file.byteCount) { String(decoding: $0, as: UTF8.self) }
      }
    }
    var options = ServerOptions()
    options.http.address = arguments[host]
    options.http.port = arguments[port]
    options.http.certificate = try text(certificate)
    options.http.privateKey = try text(privateKey)
    options.http.bodyLimit = arguments[bodyLimit]
    options.http.connectionLimit = min(options.http.connectionLimit, openFiles() - 64)
    options.origins = arguments[cors]
    options.hostNames = arguments[hostName].map { $0.lowercased() }
    options.allowsAdapterLoading = arguments[adapterLoading]
    options.version = Angel.version
    let diagnostics = context.diagnostics
    options.requestLog = RequestLog(arguments[log]) { diagnostics.attempt($0) }
    return options
  }

  /// Raises the limit on open files as far as the system lets it, and tells it: each connection is one.
  private static func openFiles() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    limit.rlim_cur = min(limit.rlim_max, 1 << 16)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return max(128, Int(clamping: limit.rlim_cur))
  }

  private static func loadFirst(_ shelf: ModelShelf) throws -> LoadedModel {
    let answer = Mailbox<Result<ModelUse, any Error>>()
    shelf.use(shelf.models[0].name) { answer.send($0) }
    while true {
      if let result = answer.receive(waits: true).first { return try result.get().model }
    }
  }

  /// How many tokens and answers the model has room for, in words.
  private static func room(_ model: LoadedModel, _ arguments: Arguments) -> String {
    switch model {
    case .language(let engine):
      "context of \(TextFormat.count(engine.contextLength)) tokens, cache of "
        + "\(TextFormat.count(engine.statistics.cacheTokens)), "
        + "\(arguments[concurrency]) answers at once"
    case .encoder(let engine): "vectors of \(engine.width) numbers, texts of \(TextFormat.count(engine.longest)) tokens"
    }
  }

  private static func announce(
    _ shelf: ModelShelf, _ first: LoadedModel, port: Int, _ arguments: Arguments, _ context: CommandContext
  ) throws {
    let address = arguments[host]
    let isTLS = arguments[certificate] != nil
    let isLocal = HTTPOptions.isLoopback(address)
    let shown = address.contains(":") ? "[\(address)]" : address
    let url = "\(isTLS ? "https" : "http")://\(shown):\(port)"
    let names = shelf.names
    if context.printsJSON {
      return try context.print([
        "url": .string(url), "port": .integer(port), "models": .array(names.map { .string($0) }),
      ])
    }
    try context.output.line("\(names[0]): \(room(first, arguments))")
    try context.output.line("serving \(names.joined(separator: ", ")) at \(url)/v1")
    if arguments[keys] == nil, !isLocal {
      context.log.warning("anyone who reaches \(url) can use it: --keys FILE asks for keys (angel keys add)")
    }
    if !isTLS, arguments[keys] != nil, !isLocal {
      context.log.warning("keys are sent in clear: use --tls-certificate, or put a proxy in front")
    }
  }

  /// Waits for the signal to end, then for what is in hand.
  private static func wait(_ server: APIServer, _ arguments: Arguments, _ context: CommandContext) {
    while !context.interruption.isRequested { usleep(20_000) }
    if server.exchangeCount > 0 { context.log.note("ending: \(server.exchangeCount) requests are in hand") }
    let clock = ContinuousClock()
    let end = clock.now + .seconds(arguments[drain])
    server.stop { clock.now > end }
    context.log.note("ended")
  }
}
