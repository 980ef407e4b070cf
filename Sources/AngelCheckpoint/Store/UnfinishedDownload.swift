import AngelCore
import Glibc

/// A download that was cut off: parts in the store that the next pull of the same source continues.
public struct UnfinishedDownload: Sendable, Hashable {
  /// What was pulled, as `angel pull` takes it.
  public let source: String
  /// Bytes on the disk.
  public let bytes: Int
  /// Seconds since the last bytes arrived.
  public let age: Int
  /// What is removed when it is given up.
  let paths: [String]
  /// The file whose lock tells that a pull is at work.
  let lock: String
}

extension ModelStore {
  /// Parts that nobody has continued for this many seconds, 30 days, are removed by the next pull.
  static let patienceWithParts = 30 * 24 * 3600

  /// The downloads that were cut off, longest untouched first; those a pull is working on are among them.
  public func unfinishedDownloads() throws(StoreError) -> [UnfinishedDownload] {
    guard FilePath.status(downloadsFolder) != nil else { return [] }
    var result: [UnfinishedDownload] = []
    for name in try FileOperations.names(in: downloadsFolder) {
      let path = downloadsFolder + "/" + name
      if name.hasPrefix("hub-") {
        result.append(Self.unfinished(name, [path], lock: path + "/lock", source: Self.firstLine(of: path + "/lock")))
      } else if name.hasSuffix(".whl") {
        // A package of a model that comes in several.
        result.append(Self.unfinished(name, [path], lock: path, source: nil))
      } else if name.hasSuffix(".part") {
        let state = path + ".json"
        result.append(
          Self.unfinished(name, [path, state], lock: path, source: DownloadState.read(from: state)?.source))
      }
    }
    return result.sorted { ($1.age, $0.source) < ($0.age, $1.source) }
  }

  /// Removes the parts of `source`: the bytes they took, nil where there are none. Throws while a pull is at work on them.
  public func removeUnfinished(_ source: String) throws(StoreError) -> Int? {
    // A hub's parts belong to a repository, whatever the revision that was asked for.
    let repository = (try? HubReference(source))?.repository
    let found = try unfinishedDownloads().filter { download in
      download.source == source
        || repository != nil && (try? HubReference(download.source))?.repository == repository
    }
    guard !found.isEmpty else { return nil }
    for download in found { try remove(download) }
    return found.reduce(0) { $0 + $1.bytes }
  }

  /// Removes what nobody has come back for. Failures do not matter: the next pull tries again.
  func removeStaleDownloads() {
    for download in (try? unfinishedDownloads()) ?? [] where download.age > Self.patienceWithParts {
      try? remove(download)
    }
  }

  private func remove(_ download: UnfinishedDownload) throws(StoreError) {
    let lock = try OpenFile(updating: download.lock)
    guard lock.tryLock() else { throw .busy(download.lock) }
    defer { lock.unlock() }
    for path in download.paths { try FileOperations.remove(path) }
  }

  /// Parts made before they said what they belong to are called by their own name.
  private static func unfinished(
    _ name: String, _ paths: [String], lock: String, source: String?
  ) -> UnfinishedDownload {
    let files = paths.flatMap { path in
      (FilePath.entries(of: path) ?? []).map { path + "/" + $0 } + [path]
    }
    let newest = files.map(FileOperations.modificationTime).max() ?? 0
    return UnfinishedDownload(
      source: source ?? name, bytes: files.reduce(0) { $0 + FileOperations.allocatedBytes($1) },
      age: max(0, time(nil) - newest), paths: paths, lock: lock)
  }

  private static func firstLine(of path: String) -> String? {
    guard let bytes = try? FileOperations.contents(of: path, limit: 4096) else { return nil }
    let line = String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)
    return line.isEmpty ? nil : line
  }
}
