import AngelCore

extension Checkpoint {
  /// Throws unless a model can be written at `target`: nothing stands there, or something of the right kind that may be
  /// replaced and is not this checkpoint.
  public func requireTarget(_ target: String, isFolder: Bool, replaces: Bool) throws(CheckpointError) {
    guard let kind = FilePath.kind(target) else {
      let folder = FilePath.split(target).folder
      guard FilePath.kind(folder) == .folder else {
        throw .file(.system(operation: "write", path: target, reason: "there is no folder '\(folder)'"))
      }
      return
    }
    guard kind == (isFolder ? .folder : .file) else {
      throw .file(
        .system(
          operation: "write", path: target,
          reason: isFolder ? "something that is no folder stands there" : "something that is no file stands there"))
    }
    guard replaces else {
      throw .file(.system(operation: "write", path: target, reason: "it is there already; --force replaces it"))
    }
    // A slip of the hand must not cost a folder of something else.
    guard !isFolder || FilePath.kind(FilePath.join(target, "config.json")) == .file else {
      throw .file(.system(operation: "replace", path: target, reason: "it is no model folder: it has no config.json"))
    }
    let absolute = FileOperations.absolute(target)
    let own = Set(
      tensors.values.flatMap(\.files).map { FileOperations.absolute($0.path) } + [FileOperations.absolute(path)])
    guard !own.contains(absolute), !own.contains(where: { $0.hasPrefix(absolute + "/") }) else {
      throw .file(.system(operation: "write", path: target, reason: "it is the model that is being read"))
    }
  }
}

extension ModelFolderWriter {
  /// What is written anew, and what speaks of weights as they were quantised and are no longer.
  private static let documents: Set<String> = ["config.json", "quantize_config.json", "quant_config.json"]

  /// Copies what stands beside the weights of a folder: tokenizer, templates, notes.
  public borrowing func copySmallFiles(of checkpoint: Checkpoint) throws {
    let folder = FilePath.kind(checkpoint.path) == .folder ? checkpoint.path : FilePath.split(checkpoint.path).folder
    for name in try FilePath.names(in: folder) where FilePath.kind(FilePath.join(folder, name)) == .file {
      let isWritten = Self.documents.contains(name) || name.hasSuffix(".safetensors.index.json")
      let endings = [".json", ".jinja", ".txt", ".md", ".model"]
      guard !isWritten, endings.contains(where: { name.hasSuffix($0) }) || name.hasPrefix("LICENSE") else { continue }
      try copy(FilePath.join(folder, name), as: name)
    }
    // How an encoder pools stands in folders of its own.
    let modules = FilePath.join(folder, "modules.json")
    guard FilePath.kind(modules) == .file else { return }
    for module in try JSONFile.array(modules) {
      guard let name = SentencePooling.folderName(module) else { continue }
      let file = FilePath.join(name, "config.json")
      if FilePath.kind(FilePath.join(folder, file)) == .file { try copy(FilePath.join(folder, file), as: file) }
    }
  }
}
