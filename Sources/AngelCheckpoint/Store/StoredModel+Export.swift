import AngelCore

extension ModelStore {
  /// Copies the files of the model called `name` to `path`, as they were pulled: a model of one file becomes that file,
  /// or goes under its own name into a folder that is there; any other becomes a folder.
  ///
  /// `report` is called with the bytes copied so far and in all. Returns where the model is now.
  public func export(
    _ name: String, to path: String, replaces: Bool, report: (_ copied: Int, _ inAll: Int) throws -> Void
  ) throws -> String {
    let model = try resolve(name)
    guard let files = model.manifest?.files, let stored = try stored(name) else {
      throw StoreError.unsupportedSource(name, reason: "it is not a model of the store; copy it yourself")
    }
    let total = files.reduce(0) { $0 + $1.size }
    var copied = 0
    if files.count == 1, !files[0].path.contains("/") {
      let target = FilePath.kind(path) == .folder ? FilePath.join(path, files[0].path) : path
      try Checkpoint.open(model.path).requireTarget(target, isFolder: false, replaces: replaces)
      try AtomicFile.copy(stored.folder + "/" + files[0].path, to: target) {
        copied += $0
        try report(copied, total)
      }
      return target
    }
    try Checkpoint.open(model.path).requireTarget(path, isFolder: true, replaces: replaces)
    let writer = try ModelFolderWriter(path: path)
    for file in files {
      try writer.copy(stored.folder + "/" + file.path, as: file.path) {
        copied += $0
        try report(copied, total)
      }
    }
    try writer.finish()
    return path
  }
}

extension AtomicFile {
  /// Copies the file at `source`, reporting the bytes of each piece.
  static func copy(_ source: String, to target: String, report: (Int) throws -> Void = { _ in }) throws {
    let input = try MappedFile(path: source)
    let output = try AtomicFile(path: target, expectedBytes: input.byteCount)
    let pieceBytes = 8 << 20
    for start in stride(from: 0, to: input.byteCount, by: pieceBytes) {
      let range = start..<min(start + pieceBytes, input.byteCount)
      try input.withBytes(range) { try output.write($0) }
      input.release(range)
      try report(range.count)
    }
    try output.commit()
  }
}
