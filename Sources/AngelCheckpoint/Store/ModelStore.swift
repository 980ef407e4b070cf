public import AngelCore

/// The folder that holds the models a user has pulled.
///
/// `models/<name>/` has a model's files and its `manifest.json`; `downloads/` has parts of files that a later pull
/// continues; `incoming/` has what a running pull is putting together. A model appears in `models/` by one rename.
public struct ModelStore: Sendable {
  /// The store's own folder.
  public let root: String

  public init(root: String) { self.root = root }

  /// The store the environment names. Throws `StoreError.noHome`.
  public init(environment: Environment) throws(StoreError) {
    guard let root = environment.modelStoreRoot else { throw .noHome }
    self.root = root
  }

  /// A model in the store.
  public struct StoredModel: Sendable {
    public let manifest: ModelManifest
    /// The model's folder.
    public let folder: String
    /// What a loader opens: the weight file, or the first part of it, where there is one GGUF model, else the folder.
    public var path: String {
      let weights = manifest.files.filter { $0.path.hasSuffix(".gguf") && (SplitName($0.path)?.number ?? 1) == 1 }
      return weights.count == 1 && !manifest.files.contains { $0.path.hasSuffix(".safetensors") }
        ? folder + "/" + weights[0].path : folder
    }
  }

  /// What a MODEL argument stands for.
  public struct ResolvedModel: Sendable {
    /// The name in the store, or the last component of the path.
    public let name: String
    /// A file or a folder that exists.
    public let path: String
    /// Present for a model of the store.
    public let manifest: ModelManifest?
  }

  var modelsFolder: String { root + "/models" }
  var downloadsFolder: String { root + "/downloads" }
  var incomingFolder: String { root + "/incoming" }

  /// All models of the store in order of their names; folders without a readable manifest are left out.
  public func list() throws(StoreError) -> [StoredModel] {
    guard FilePath.status(modelsFolder) != nil else { return [] }
    var models: [StoredModel] = []
    for name in try FileOperations.names(in: modelsFolder) where Self.isValid(name: name) {
      if let model = try? stored(name) { models.append(model) }
    }
    return models
  }

  /// The model called `name`, nil when the store has none; throws when its files are not as its manifest says.
  public func stored(_ name: String) throws(StoreError) -> StoredModel? {
    guard Self.isValid(name: name) else { return nil }
    let folder = modelsFolder + "/" + name
    guard FilePath.status(folder)?.kind == .folder else { return nil }
    let text = try FileOperations.contents(of: folder + "/" + ModelManifest.fileName, limit: 16 << 20)
    guard let json = try? JSONValue(parsing: text), let manifest = ModelManifest(json: json) else {
      throw .damaged(model: name, reason: "its manifest cannot be read")
    }
    // Another name would make what is listed something else than what is removed.
    guard manifest.name == name else { throw .damaged(model: name, reason: "its manifest names another model") }
    for file in manifest.files {
      guard let status = FilePath.status(folder + "/" + file.path), status.kind == .file else {
        throw .damaged(model: name, reason: "'\(file.path)' is missing")
      }
      guard status.size == file.size else {
        throw .damaged(model: name, reason: "'\(file.path)' has \(status.size) bytes, not \(file.size)")
      }
    }
    return StoredModel(manifest: manifest, folder: folder)
  }

  /// What MODEL stands for: a name in the store, the `hf:` name that a model of the store was pulled by, a folder or a
  /// file. Any other text with a slash is a path.
  public func resolve(_ model: String) throws(StoreError) -> ResolvedModel {
    if !model.contains("/"), let stored = try stored(model) {
      return ResolvedModel(name: model, path: stored.path, manifest: stored.manifest)
    }
    if model.hasPrefix(HubReference.prefix), let source = try? HubReference(model).source {
      // `angel pull` may have given it any name.
      if let stored = try list().first(where: { $0.manifest.source == source }) {
        return ResolvedModel(name: stored.manifest.name, path: stored.path, manifest: stored.manifest)
      }
      throw .unknownModel(model, suggestion: ": get it with angel pull \(model)")
    }
    if !model.isEmpty, let status = FilePath.status(model), status.kind != .other {
      return ResolvedModel(name: FilePath.split(model).name, path: model, manifest: nil)
    }
    throw .unknownModel(model, suggestion: suggestion(for: model))
  }

  /// Removes a model from the store; the bytes it took.
  @discardableResult
  public func remove(_ name: String) throws(StoreError) -> Int {
    let folder = modelsFolder + "/" + name
    guard Self.isValid(name: name), FilePath.status(folder)?.kind == .folder else {
      throw .unknownModel(name, suggestion: suggestion(for: name))
    }
    let size = FileOperations.bytesBelow(folder)
    // Moved out of sight first, so that a removal that is cut off leaves no half model behind.
    let staging = try StagingFolder(in: self)
    try FileOperations.rename(folder, to: staging.path + "/removed")
    return size
  }

  /// Whether `name` can be a folder of the store.
  public static func isValid(name: String) -> Bool {
    let letters = name.unicodeScalars
    guard let first = letters.first, letters.count <= 100, first.isASCIILetterOrDigit else { return false }
    return letters.allSatisfy { $0.isASCIILetterOrDigit || $0 == "." || $0 == "_" || $0 == "-" }
  }

  private func suggestion(for name: String) -> String {
    if BuiltInModels.named(name) != nil { return ": get it with angel pull \(name)" }
    let known = ((try? list())?.map(\.manifest.name) ?? []) + BuiltInModels.all.map(\.name)
    return Suggestion.question(for: name, among: Set(known))
  }
}

extension Unicode.Scalar {
  fileprivate var isASCIILetterOrDigit: Bool {
    ("a"..."z").contains(self) || ("A"..."Z").contains(self) || ("0"..."9").contains(self)
  }
}
