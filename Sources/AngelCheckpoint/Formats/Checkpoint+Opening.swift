import AngelCore

extension Checkpoint {
  /// Opens the model at `path`: a `.gguf` file, a `.safetensors` file beside its `config.json`, a Hugging Face folder, or a
  /// folder with exactly one GGUF model. Pickle files are refused, since reading one can run any program.
  public static func open(_ path: String) throws(CheckpointError) -> Checkpoint {
    switch FilePath.kind(path) {
    case .folder: return try openFolder(path)
    case .file: return try openFile(path)
    case .other: throw .notACheckpoint(path: path, reason: "it is neither a file nor a folder")
    case nil: throw .notACheckpoint(path: path, reason: "there is no such file or folder")
    }
  }

  private static func openFile(_ path: String) throws(CheckpointError) -> Checkpoint {
    switch fileExtension(path) {
    case "gguf": return try openGGUF(path)
    case "safetensors": return try openSafetensors(path)
    case let name where pickleExtensions.contains(name): throw pickle(path)
    default: break
    }
    // A blob store has no endings: let the first bytes speak.
    let file = try accessing(try MappedFile(path: path))
    let start = withExtendedLifetime(file) { Array(file.unsafeBytes.prefix(4)) }
    if start.elementsEqual("GGUF".utf8) { return try openGGUF(path) }
    if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) || start.starts(with: [0x80, 0x02]) { throw pickle(path) }
    throw .notACheckpoint(path: path, reason: "it is neither a GGUF nor a safetensors file")
  }

  /// A shard stands for its whole model: half of one is of no use.
  private static func openSafetensors(_ path: String) throws(CheckpointError) -> Checkpoint {
    let (folder, name) = FilePath.split(path)
    let index = FilePath.join(folder, "model.safetensors.index.json")
    let isShard = SplitName(name, ending: ".safetensors") != nil && FilePath.kind(index) != nil
    return try openHuggingFace(folder: folder, weights: isShard ? .sharded(index: index) : .single(path), path: path)
  }

  private static func openFolder(_ folder: String) throws(CheckpointError) -> Checkpoint {
    let names = try accessing(try FilePath.names(in: folder))
    if names.contains("config.json"), let weights = try weights(in: folder, names) {
      return try openHuggingFace(folder: folder, weights: weights, path: folder)
    }
    // Later parts of a split file are found from the first.
    let models = names.filter { fileExtension($0) == "gguf" && (SplitName($0)?.number ?? 1) == 1 }
    if models.count == 1 { return try openGGUF(FilePath.join(folder, models[0])) }
    guard models.isEmpty else {
      throw .notACheckpoint(
        path: folder,
        reason: "it holds several models; name one of them: " + models.prefix(8).map(quoted).joined(separator: ", "))
    }
    if let name = names.first(where: { pickleExtensions.contains(fileExtension($0)) }) {
      throw pickle(FilePath.join(folder, name))
    }
    let isWithoutConfiguration = names.contains { fileExtension($0) == "safetensors" }
    throw .notACheckpoint(
      path: folder,
      reason: isWithoutConfiguration
        ? "it holds safetensors, but no config.json" : "it holds neither a GGUF file nor config.json with safetensors")
  }

  // MARK: Pickle

  private static let pickleExtensions: Set<String> = ["bin", "pt", "pth", "ckpt", "pkl", "pickle"]

  private static func pickle(_ path: String) -> CheckpointError {
    .unsupported(
      path: path,
      reason:
        "it looks like a Python pickle, which can run any program when it is read; convert it where you trust it: "
        + "python -c \"import torch, safetensors.torch as s; "
        + "s.save_file({k: v.clone().contiguous() for k, v in torch.load('IN', weights_only=True).items()}, "
        + "'model.safetensors')\"")
  }

  /// The part of a file's name after the last dot, in lower case.
  static func fileExtension(_ path: String) -> String {
    let name = FilePath.split(path).name
    guard let dot = name.lastIndex(of: ".") else { return "" }
    return name[name.index(after: dot)...].lowercased()
  }
}
