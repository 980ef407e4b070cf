import AngelCore

/// A hub's answer to one request.
struct HubAnswer {
  private let connection: LoopbackConnection
  private let filesAddress: String
  private let ledger: HubLedger
  private let model: HubServer.Model
  private let request: HubServer.Request
  private let query: String
  /// The request's place in the ledger.
  private let index: Int
  private let trouble: HubServer.Trouble?

  /// Reads the request and writes it down; nil when none comes.
  init?(
    _ connection: LoopbackConnection, _ host: HubServer.Request.Host, filesAddress: String, _ ledger: HubLedger
  ) {
    guard let head = connection.readHead() else { return nil }
    self.connection = connection
    self.filesAddress = filesAddress
    self.ledger = ledger
    // A proxy gets the whole address; this one has all hosts' files itself.
    let isProxied = head.path.hasPrefix("http://")
    let target = isProxied ? head.path.dropFirst("http://".count).drop { $0 != "/" } : head.path[...]
    let parts = target.split(separator: "?", maxSplits: 1)
    query = parts.count > 1 ? String(parts[1]) : ""
    let request = HubServer.Request(
      host: host, method: head.method, path: parts.first.map(String.init) ?? "/", range: head["range"],
      authorization: head["authorization"], isProxied: isProxied)
    self.request = request
    (index, model, trouble) = ledger.state.withLock { state in
      state.requests.append(request)
      let count = state.requests.count { $0.method == request.method && $0.path == request.path }
      return (state.requests.count - 1, state.model, state.trouble(request, count))
    }
  }

  func send() {
    switch trouble {
    case .status(let status, let lines): return head(status, lines, length: 0)
    case .redirects(let address): return head(302, ["Location: \(address)"], length: 0)
    case .endlessHead:
      connection.send("HTTP/1.1 200 OK\r\n")
      let line = Array(("X-Filler: " + String(repeating: "x", count: 8000) + "\r\n").utf8)
      while connection.send(line) == line.count {}
      return
    default: break
    }
    let parts = request.path.split(separator: "/").map(String.init)
    if request.host == .files {
      guard let file = model.files.first(where: { $0.digest == parts.last }) else { return head(404, [], length: 0) }
      return body(of: file, ["ETag: \"of-this-host\""])
    }
    if parts.starts(with: ["api", "models"]), parts.count == 6, parts[4] == "revision" {
      return list(parts[2] + "/" + parts[3], revision: parts[5])
    }
    guard parts.count >= 5, parts[2] == "resolve" else { return head(404, [], length: 0) }
    resolve(parts[4...].joined(separator: "/"), repository: parts[0] + "/" + parts[1], commit: parts[3])
  }

  // MARK: The list

  private func list(_ repository: String, revision: String) {
    let isKnown = repository == model.repository && (model.isGated || isAllowed)
    guard isKnown else { return refuse(401, "RepoNotFound", "Invalid username or password.") }
    guard (model.revisions + [model.commit]).contains(revision) else {
      return refuse(404, "RevisionNotFound", "Invalid rev id: \(revision)")
    }
    let files = model.files.map { file -> JSONValue in
      var object = JSONObject([("rfilename", .string(file.path))])
      guard model.tellsBlobs, query == "blobs=true" else { return .object(object) }
      let size = file.announcedSize ?? file.bytes.count
      object["size"] = .integer(size)
      object["blobId"] = .string(file.isLarge ? String(repeating: "e", count: 40) : file.digest)
      if file.isLarge {
        object["lfs"] = ["sha256": .string(file.digest), "size": .integer(size), "pointerSize": 135]
      }
      return .object(object)
    }
    let text = JSONValue.object(
      JSONObject([
        ("id", .string(model.repository)), ("sha", .string(model.commit)), ("private", false),
        ("gated", model.isGated ? "manual" : false), ("siblings", .array(files)),
        ("cardData", ["license": .string(model.license)]),
      ])
    ).encoded()
    body(Array(text.utf8), ["Content-Type: application/json"])
  }

  // MARK: Files

  private var isAllowed: Bool { model.token == nil || request.authorization == model.token.map { "Bearer " + $0 } }

  private func resolve(_ path: String, repository: String, commit: String) {
    guard repository == model.repository else { return refuse(404, "RepoNotFound", "Repository not found") }
    guard isAllowed else {
      return refuse(
        request.authorization == nil ? 401 : 403, model.isGated ? "GatedRepo" : "RepoNotFound",
        "Access to model \(repository) is restricted.")
    }
    guard commit == model.commit else { return refuse(404, "RevisionNotFound", "Invalid rev id: \(commit)") }
    guard let file = model.files.first(where: { $0.path == path }) else {
      return refuse(404, "EntryNotFound", "Entry not found")
    }
    let commitLine = "X-Repo-Commit: \(model.commit)"
    guard file.isLarge else { return body(of: file, [commitLine, "ETag: \"\(tag(of: file))\""]) }
    head(
      302,
      [
        commitLine, "X-Linked-Etag: \"\(tag(of: file))\"", "X-Linked-Size: \(file.announcedSize ?? file.bytes.count)",
        "Location: \(filesAddress)/blobs/\(file.digest)?signature=secret",
      ], length: 0)
  }

  private func tag(of file: HubServer.File) -> String {
    if case .retags(let tag) = trouble { return tag }
    return file.digest
  }

  private func body(of file: HubServer.File, _ lines: [String]) {
    var bytes = file.bytes
    if case .corrupts = trouble, !bytes.isEmpty { bytes[0] ^= 0xFF }
    body(bytes, lines)
  }

  private func body(_ bytes: [UInt8], _ lines: [String]) {
    var range = 0..<bytes.count
    var status = 200
    var lines = lines
    if let asked = request.range, asked.hasPrefix("bytes="), !ignoresRange {
      let ends = asked.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
      let start = Int(ends[0]) ?? 0
      guard start < bytes.count else { return head(416, ["Content-Range: bytes */\(bytes.count)"], length: 0) }
      range = start..<min(bytes.count, ends.count > 1 ? (Int(ends[1]) ?? bytes.count - 1) + 1 : bytes.count)
      if case .shiftsRange = trouble { range = max(0, start - 1)..<range.upperBound }
      status = 206
      lines.append("Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(bytes.count)")
    }
    var length = range.count
    if case .claims(let claim) = trouble { length = claim }
    head(status, lines, length: length)
    guard request.method != "HEAD" else { return }
    var part = Array(bytes[range])
    switch trouble {
    case .cuts(let count), .stalls(let count): part = Array(part.prefix(count))
    default: break
    }
    let sent = connection.send(part)
    ledger.state.withLock { $0.requests[index].sent = sent }
    if case .stalls = trouble { connection.waitForEnd() }
  }

  private var ignoresRange: Bool { if case .ignoresRange = trouble { true } else { false } }

  private func refuse(_ status: Int, _ code: String, _ message: String) {
    head(status, ["X-Error-Code: \(code)", "X-Error-Message: \(message)"], length: 0)
  }

  private func head(_ status: Int, _ lines: [String], length: Int) {
    let all = ["HTTP/1.1 \(status) Answer"] + lines + ["Content-Length: \(length)", "Connection: close", "", ""]
    connection.send(all.joined(separator: "\r\n"))
  }
}
