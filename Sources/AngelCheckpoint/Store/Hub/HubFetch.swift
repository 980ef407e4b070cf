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
  private var parts: [String: (part: PartFile, digest: ContentDigest?, tag: String?)] = [:]
  /// The files of the last call of `files`, in its order.
  private(set) var paths: [String] = []

  /// No file of settings is as large as this.
  private static let settingLimit = 512 << 20

  init(
    _ pull: ModelPull, _ settings: HubSettings, _ reference: HubReference, _ client: HubClient, commit: String,
    connections: Int
  ) throws(StoreError) {
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
    guard lock.tryLock() else { throw .busy(folder) }
  }

  deinit {
    removeFolderIfEmpty()
    lock.unlock()
  }

  /// Fetches and verifies files, in order. Throws `StoreError`, `HubError` or `Interrupted`.
  func files(_ files: [HubFile], label: String) throws -> [(part: PartFile, sha256: String)] {
    paths = files.map(\.path)
    var items: [ParallelDownload.Item] = []
    var total = 0
    for file in files {
      let entry = try part(of: file)
      let (sum, overflow) = total.addingReportingOverflow(entry.part.size)
      guard !overflow else { throw unsafe(file, "its size is impossible") }
      total = sum
      items.append(
        .init(
          url: settings.url(ofFile: file.path, in: reference.repository, commit: commit), label: file.path,
          part: entry.part, digest: entry.digest, tag: entry.tag))
    }
    let missing = items.reduce(0) { $0 + $1.part.missing }
    do { try FileOperations.requireSpace(missing, at: pull.store.root) } catch {
      discardEmptyParts()
      throw error
    }
    let display = pull.progress.start(label, total: total, from: total - missing)
    defer { display.abandon() }
    let options = ParallelDownload.Options(
      connections: connections, pieceSize: pull.pieceSize, authorization: HubClient.authorization(settings))
    let (settings, repository, revision) = (settings, reference.repository, reference.revision)
    let download = ParallelDownload(
      items, options, patience: pull.patience, interruption: pull.interruption, progress: display, log: pull.log
    ) { head, item in
      HubClient.failure(head, settings, repository: repository, revision: revision, path: item.label)
    }
    let digests: [String]
    do { digests = try download.run() } catch {
      discardEmptyParts()
      throw error
    }
    display.finish()
    return zip(items, digests).map { ($0.part, $1) }
  }

  private func part(of listed: HubFile) throws -> (part: PartFile, digest: ContentDigest?, tag: String?) {
    if let known = parts[listed.path] { return known }
    if let objection = listed.objection { throw unsafe(listed, objection) }
    let (file, tag) = try client.completed(listed, commit: commit)
    guard let size = file.size, size >= 0 else { throw unsafe(file, "the hub does not tell its size") }
    guard size <= 1 << 50, size <= Self.settingLimit || !HubSelection.isSetting(file.path) else {
      throw unsafe(file, "\(size) bytes are more than such a file has")
    }
    if file.digest == nil { pull.log.warning("the hub gives no digest of '\(file.path)': only its length is checked") }
    let path = folder + "/" + SHA256.hexadecimal(of: file.path.utf8).prefix(24) + ".part"
    let part = try PartFile(
      path, identity: file.digest?.text ?? tag ?? commit, size: size, pieceSize: pull.pieceSize)
    let entry = (part: part, digest: file.digest, tag: tag)
    parts[file.path] = entry
    return entry
  }

  private func unsafe(_ file: HubFile, _ reason: String) -> HubError {
    .unsafeFile(repository: reference.repository, path: file.path, reason: reason)
  }

  /// Removes what is left of the parts after their files have been moved away.
  func clean() {
    for entry in parts.values { remove(entry.part) }
    removeFolderIfEmpty()
  }

  /// A part without a byte is not worth keeping.
  private func discardEmptyParts() {
    for entry in parts.values where entry.part.missing == entry.part.size { remove(entry.part) }
  }

  private func remove(_ part: PartFile) {
    try? FileOperations.remove(part.path)
    try? FileOperations.remove(part.path + ".journal")
  }

  private func removeFolderIfEmpty() {
    if (try? FileOperations.names(in: folder)) == ["lock"] { try? FileOperations.remove(folder) }
  }
}
