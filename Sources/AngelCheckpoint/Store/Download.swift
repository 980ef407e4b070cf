import AngelCore

/// One file that is fetched from a URL into `downloads/` and continued where an earlier attempt stopped.
///
/// Beside the part lies a small JSON file with the server's validator (ETag or date): a part is continued only when the
/// server confirms that the file is still the same (RFC 9110, 13.1.5 If-Range).
final class Download {
  let url: String
  /// The URL as messages show it: without what may be secret.
  let label: String
  /// The part file's path.
  let path: String
  private let file: OpenFile
  private let patience: Patience
  private let interruption: Interruption

  init(_ url: String, in folder: String, patience: Patience, interruption: Interruption) throws(StoreError) {
    try FileOperations.makeFolder(folder)
    self.url = url
    label = ModelPull.withoutCredentials(url)
    self.patience = patience
    self.interruption = interruption
    path = folder + "/" + SHA256.hexadecimal(of: url.utf8).prefix(24) + ".part"
    let part = try OpenFile(writing: path, appending: true)
    guard part.tryLock() else { throw .busy(path) }
    file = part
  }

  deinit {
    // What cannot be continued is not worth keeping. A finished file has been moved away by now.
    let isResumable = DownloadState.read(from: path + ".json")?.validator != nil
    if (FilePath.status(path)?.size ?? 0) == 0 || !isResumable {
      try? FileOperations.remove(path)
      try? FileOperations.remove(path + ".json")
    }
    file.unlock()
  }

  /// Fetches what is missing. Throws `StoreError` or `Interrupted`; what has arrived stays for the next time.
  func run(progress: ProgressDisplay, spaceAt folder: String) throws {
    let session = try HTTPSession(interruption: interruption, patience: patience)
    var attempts = Attempts(patience) { [interruption] in try interruption.check() }
    // Measured by the furthest point ever reached, so that a server that cuts and cannot continue ends the loop.
    var furthest = try file.size
    while true {
      let state = DownloadState.read(from: statePath)
      var start = try file.size
      if start > 0, state?.validator == nil {
        try truncate()
        start = 0
      }
      switch try fetch(from: start, state, session, progress, spaceAt: folder) {
      case .answered(let head) where (200..<300).contains(head.status): return try finish()
      case .answered(let head) where head.status == 416:
        // There is nothing behind the part. It is whole when its size is the one announced.
        if let size = state?.size, size == start { return }
        try truncate()
        try attempts.pause(
          after: StoreError.transfer(url: label, reason: "the server refuses the range it offered"), head: head)
      case .answered(let head):
        let error = StoreError.httpStatus(url: label, status: head.status)
        guard Attempts.isTransient(head.status) else { throw error }
        try attempts.pause(after: error, head: head)
      case .interrupted(_, let reason):
        let size = try file.size
        try attempts.pause(after: StoreError.transfer(url: label, reason: reason), hasProgress: size > furthest)
        furthest = max(furthest, size)
      case .unreachable(let reason):
        guard furthest > 0 else { throw StoreError.transfer(url: label, reason: reason) }
        try attempts.pause(after: StoreError.transfer(url: label, reason: reason))
      case .cancelled: throw Interrupted()
      }
    }
  }

  /// One request for the bytes from `start` on, which are appended to the part as they arrive.
  private func fetch(
    from start: Int, _ state: DownloadState?, _ session: HTTPSession, _ progress: ProgressDisplay,
    spaceAt folder: String
  ) throws -> HTTPSession.Outcome {
    var request = HTTPRequest(url: url)
    if start > 0 {
      request.range = "\(start)-"
      request.headers = (state?.validator).map { ["If-Range: \($0)"] } ?? []
    }
    var base = start
    var size: Int?
    var received = 0
    let receiver = HTTPSession.Receiver(
      begin: { [self] head in
        guard head.status == 200 || head.status == 206 else {
          throw StoreError.httpStatus(url: label, status: head.status)
        }
        if head.status == 206, head.rangeStart != start {
          throw StoreError.transfer(url: label, reason: "the server sent another range than the one asked for")
        }
        if head.restarts {
          try truncate()
          base = 0
        }
        size = head.size
        try DownloadState(validator: head.validator, size: size, source: label).write(to: statePath)
        if let size { try FileOperations.requireSpace(size - base, at: folder) }
      },
      take: { [self] bytes in
        try file.write(bytes)
        received += bytes.count
        if let size, base + received > size {
          throw StoreError.sizeMismatch(file: label, expected: size, actual: base + received)
        }
        progress.update(to: base + received, total: size)
      })
    return try session.send(request, receiver)
  }

  /// Checks the length of what has arrived.
  private func finish() throws {
    let size = try file.size
    guard let expected = DownloadState.read(from: statePath)?.size, size != expected else {
      return try file.synchronize()
    }
    try discard()
    throw StoreError.sizeMismatch(file: label, expected: expected, actual: size)
  }

  /// Forgets the part: the file was not what it should be.
  func discard() throws(StoreError) {
    try FileOperations.remove(path)
    try FileOperations.remove(statePath)
  }

  /// Moves the finished file to its place; the part is gone then.
  func move(to target: String) throws(StoreError) {
    try FileOperations.rename(path, to: target)
    try FileOperations.remove(statePath)
  }

  private var statePath: String { path + ".json" }

  private func truncate() throws(StoreError) { try file.truncate() }
}

/// What is known about a part file: the validator that says which version it belongs to, and the whole size.
struct DownloadState: Equatable {
  let validator: String?
  let size: Int?
  /// The address without what may be secret, for listings.
  var source: String?

  /// The state beside a part; nil when there is none.
  static func read(from path: String) -> DownloadState? {
    guard let bytes = try? FileOperations.contents(of: path, limit: 1 << 20), let json = try? JSONValue(parsing: bytes)
    else { return nil }
    return DownloadState(
      validator: json["validator"]?.string, size: json["size"]?.integer, source: json["source"]?.string)
  }

  func write(to path: String) throws(StoreError) {
    var object = JSONObject()
    if let validator { object["validator"] = .string(validator) }
    if let size { object["size"] = .integer(size) }
    if let source { object["source"] = .string(source) }
    try FileOperations.write(JSONValue.object(object).encoded() + "\n", to: path)
  }
}
