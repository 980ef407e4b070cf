import Glibc

/// A private folder in the store where a pull puts a model together; it vanishes with its owner.
///
/// A lock on the folder tells a living owner's from one left by a process that was killed, which the next pull removes.
struct StagingFolder: ~Copyable {
  let path: String
  private let descriptor: Int32

  init(in store: ModelStore) throws(StoreError) {
    try FileOperations.makeFolder(store.incomingFolder)
    Self.removeAbandoned(in: store.incomingFolder)
    var template = Array((store.incomingFolder + "/pull-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw fileError("create a folder in", store.incomingFolder) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor >= 0 { flock(descriptor, LOCK_EX | LOCK_NB) }
  }

  deinit {
    // Nothing can be done about a failure here; the next pull tries again.
    try? FileOperations.remove(path)
    if descriptor >= 0 { close(descriptor) }
  }

  private static func removeAbandoned(in folder: String) {
    for name in (try? FileOperations.names(in: folder)) ?? [] {
      let path = folder + "/" + name
      let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      var status = stat()
      // A minute's grace: a folder just made by another process may not have its lock yet.
      let isOld = fstat(descriptor, &status) == 0 && time(nil) - status.st_ctim.tv_sec > 60
      if isOld, flock(descriptor, LOCK_EX | LOCK_NB) == 0 { try? FileOperations.remove(path) }
    }
  }
}
