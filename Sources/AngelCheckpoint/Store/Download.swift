import AngelCore

/// One file that is fetched from a URL into `downloads/` and continued where an earlier attempt stopped.
///
/// Beside the part lies a small JSON file with the server's validator (ETag or date): a part is continued only when the
/// server confirms that the file is still the same (RFC 9110, 13.1.5 If-Range).
final class Download {
  /// How patient a download is.
  struct Patience: Sendable {
    /// Attempts in a row that bring nothing before it is given up.
    var attempts = 3
    var pauseSeconds = 1.0
    var connectSeconds = 30
    /// A connection that brings less than 1 kB a second for so long is cut.
    var stallSeconds = 60
  }

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
    guard HTTPTransfer.isAvailable else { throw StoreError.noCurl }
    var fruitless = 0
    // Measured by the furthest point ever reached, so that a server that cuts and cannot continue ends the loop.
    var furthest = try file.size
    while true {
      let state = DownloadState.read(from: statePath)
      var start = try file.size
      if start > 0, state?.validator == nil {
        try truncate()
        start = 0
      }
      let transfer = HTTPTransfer(
        url: url, start: start, validator: state?.validator, file: file, interruption: interruption, patience: patience)
      let response = try transfer.run(progress: progress) { head throws(StoreError) in
        if head.restarts { try truncate() }
        try DownloadState(validator: head.validator, size: head.size).write(to: statePath)
        if let size = head.size { try FileOperations.requireSpace(size - (head.restarts ? 0 : start), at: folder) }
      }
      switch response {
      case .complete:
        let size = try file.size
        guard let expected = DownloadState.read(from: statePath)?.size, size != expected else {
          return try file.synchronize()
        }
        try discard()
        throw StoreError.sizeMismatch(file: label, expected: expected, actual: size)
      case .rangeRefused:
        // 416: there is nothing behind the part. It is whole when its size is the one announced.
        if let size = state?.size, size == start { return }
        try truncate()
        fruitless += 1
      case .interrupted(let reason):
        let size = try file.size
        fruitless = size > furthest ? 0 : fruitless + 1
        furthest = max(furthest, size)
        guard fruitless < patience.attempts else { throw StoreError.transfer(url: label, reason: reason) }
      }
      guard fruitless < patience.attempts else {
        throw StoreError.transfer(url: label, reason: "the server refuses the range it offered")
      }
      try pause()
    }
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

  private func pause() throws {
    let end = MonotonicClock.seconds() + patience.pauseSeconds
    while MonotonicClock.seconds() < end {
      try interruption.check()
      FileOperations.sleep(seconds: min(0.1, patience.pauseSeconds))
    }
  }
}

/// What is known about a part file: the validator that says which version it belongs to, and the whole size.
struct DownloadState: Equatable {
  let validator: String?
  let size: Int?

  init(validator: String?, size: Int?) {
    self.validator = validator
    self.size = size
  }

  /// The state beside a part; nil when there is none.
  static func read(from path: String) -> DownloadState? {
    guard let bytes = try? FileOperations.contents(of: path, limit: 1 << 20), let json = try? JSONValue(parsing: bytes)
    else { return nil }
    return DownloadState(validator: json["validator"]?.string, size: json["size"]?.integer)
  }

  func write(to path: String) throws(StoreError) {
    var object = JSONObject()
    if let validator { object["validator"] = .string(validator) }
    if let size { object["size"] = .integer(size) }
    try FileOperations.write(JSONValue.object(object).encoded() + "\n", to: path)
  }
}
