import AngelCore

/// Fetches files of one model at one commit into parts below `downloads/`, which a later pull continues.
final class HubFetch {
  private let pull: ModelPull
  private let settings: HubSettings
  private let reference: HubReference
  private let client: HubClient
  private let commit: String
  private let connections: Int
  private let folder: String
  /// Held as long as this object lives: two pulls of one model would write over each other.
  private let lock: OpenFile
  private var parts: [String: PartFile] = [:]
  /// The files of the last call of `files`, in its order.
  private(set) var paths: [String] = []

  /// No file of settings is as large as this.
  private static let settingLimit = 512 << 20

  init(
    _ pull: ModelPull, _ settings: HubSettings, _ reference: HubReference, _ client: HubClient, commit: String,
    connections: Int
  ) throws {
    self.pull = pull
    self.settings = settings
    self.reference = reference
    self.client = client
    self.commit = commit
    self.connections = connections
    let key = SHA256.hexadecimal(of: (settings.endpoint + "\n" + reference.repository).utf8)
    folder = pull.store.downloadsFolder + "/hub-" + key.prefix(24)
    try FileOperations.makeFolder(folder)
    lock = try OpenFile(updating: folder + "/lock")
    // A process that has just been killed keeps its lock until the system has cleared it away.
    var tries = 0
    while !lock.tryLock() {
      tries += 1
      guard tries <= 20 else { throw StoreError.busy(folder) }
      try pull.patience.wait(0.1) { try pull.interruption.check() }
    }
    // For listings: the parts' own names say nothing to people.
    try lock.truncate()
    try Array((reference.source + "\n").utf8).withUnsafeBytesThrowing { bytes throws(StoreError) in
      try lock.write(bytes, at: 0)
    }
  }

  deinit {
    removeFolderIfEmpty()
    lock.unlock()
  }

  /// Fetches and verifies files, in order. Throws `StoreError`, `HubError` or `Interrupted`.
  func files(_ files: [HubFile], label: String) throws -> [(part: PartFile, sha256: String)] {
    paths = files.map(\.path)
    let (settings, repository, revision) = (settings, reference.repository, reference.revision)
    let described = try files.map(described)
    try requireSpace(for: described)
    let items = try described.map { file, size, tag in
      ParallelDownload.Item(
        url: settings.url(ofFile: file.path, in: repository, commit: commit), label: file.path,
        part: try part(of: file, size: size, tag: tag), digest: file.digest, tag: tag)
    }
    let (total, missing) = items.reduce((0, 0)) { ($0.0 + $1.part.size, $0.1 + $1.part.missing) }
    let display = pull.progress.start(label, total: total, from: total - missing)
    defer { display.abandon() }
    let options = ParallelDownload.Options(
      connections: connections, pieceSize: pull.pieceSize, authorization: HubClient.authorization(settings))
    let download = ParallelDownload(
      items, options, patience: pull.patience, interruption: pull.interruption, progress: display, log: pull.log
    ) { head, item in
      HubClient.failure(head, settings, repository: repository, revision: revision, path: item.label)
    }
    do {
      let digests = try download.run()
      display.finish()
      return zip(items, digests).map { ($0.part, $1) }
    } catch {
      discardEmptyParts()
      throw error
    }
  }

  /// A file that may be fetched, its size, and the tag that the hub gave it where it told no digest.
  private func described(_ listed: HubFile) throws -> (file: HubFile, size: Int, tag: String?) {
    if let objection = listed.objection { throw unsafe(listed, objection) }
    let (file, tag) = try client.completed(listed, commit: commit)
    guard let size = file.size, size >= 0 else { throw unsafe(file, "the hub does not tell its size") }
    guard size <= 1 << 50, size <= Self.settingLimit || !HubSelection.isSetting(file.path) else {
      throw unsafe(file, "\(size) bytes are more than such a file has")
    }
    if file.digest == nil { pull.log.warning("the hub gives no digest of '\(file.path)': only its length is checked") }
    return (file, size, tag)
  }

  /// Before a part is made: what earlier pulls have left counts.
  private func requireSpace(for files: [(file: HubFile, size: Int, tag: String?)]) throws {
    var needed = 0
    for (file, size, _) in files {
      let (sum, overflow) = needed.addingReportingOverflow(max(0, size - FileOperations.allocatedBytes(path(of: file))))
      guard !overflow else { throw unsafe(file, "its size is impossible") }
      needed = sum
    }
    try FileOperations.requireSpace(needed, at: pull.store.root)
  }

  private func path(of file: HubFile) -> String {
    folder + "/" + SHA256.hexadecimal(of: file.path.utf8).prefix(24) + ".part"
  }

  private func part(of file: HubFile, size: Int, tag: String?) throws(StoreError) -> PartFile {
    if let known = parts[file.path] { return known }
    // A huge file has larger pieces, so that their number stays small.
    let part = try PartFile(
      path(of: file), identity: file.digest?.text ?? tag ?? commit, size: size,
      pieceSize: max(pull.pieceSize, size >> 14))
    parts[file.path] = part
    return part
  }

  private func unsafe(_ file: HubFile, _ reason: String) -> HubError {
    .unsafeFile(repository: reference.repository, path: file.path, reason: reason)
  }

  /// Removes what is left of the parts after their files have been moved away.
  func clean() {
    for part in parts.values { remove(part) }
    removeFolderIfEmpty()
  }

  /// A part without a byte is not worth keeping.
  private func discardEmptyParts() {
    for part in parts.values where part.missing == part.size { remove(part) }
  }

  private func remove(_ part: PartFile) {
    try? FileOperations.remove(part.path)
    try? FileOperations.remove(part.path + ".journal")
  }

  private func removeFolderIfEmpty() {
    if (try? FileOperations.names(in: folder)) == ["lock"] { try? FileOperations.remove(folder) }
  }
}
