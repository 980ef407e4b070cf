import AngelCore

extension ModelPull {
  /// Fetches a model from a hub: only the files that are needed, several at a time; what an earlier pull has is kept.
  func pullHub(_ request: Request) throws -> Result {
    let reference = try HubReference(request.source)
    guard request.sha256 == nil, !request.links, request.offered.isEmpty else {
      throw StoreError.unsupportedSource(
        request.source, reason: "--sha256, --link and --from are not for models of a hub, whose digests the hub knows")
    }
    if let present = try presentHubModel(reference, request) { return Result(model: present, wasPresent: true) }
    if environment.hubIsOffline { throw HubError.offline(reference.source) }
    let settings = try HubSettings(environment)
    if settings.token != nil, Self.scheme(of: settings.endpoint) == "http", !Self.isLoopback(settings.endpoint) {
      log.warning("the token goes to \(settings.endpoint) without encryption; use an https address in HF_ENDPOINT")
    }
    let client = try HubClient(settings, reference, patience: patience, interruption: interruption)
    let model = try client.model()
    var selection = try HubSelection(model.files, for: reference)
    if let note = selection.note { log.note(note) }
    let weights = selection.weights[0].path
    let name = request.name ?? Self.name(for: selection.settings.isEmpty ? weights : reference.shortName)
    if try present(name, request) != nil { throw StoreError.alreadyStored(name) }
    let fetch = try HubFetch(
      self, settings, reference, client, commit: model.commit, connections: request.connections)
    if let index = selection.index {
      let (part, _) = try fetch.files([index], label: name)[0]
      try selection.keepShards(try Self.shards(in: part, of: reference), repository: reference.repository)
    }
    let files = selection.settings + (selection.index.map { [$0] } ?? []) + selection.weights
    return Result(
      model: try land(try fetch.files(files, label: name), from: fetch, model, reference, name), wasPresent: false)
  }

  /// A model that was pulled under this name before; a branch that has moved since does not matter without --force.
  private func presentHubModel(
    _ reference: HubReference, _ request: Request
  ) throws(StoreError) -> ModelStore.StoredModel? {
    if let name = request.name {
      guard let present = try present(name, request) else { return nil }
      guard present.manifest.source == reference.source else { throw .alreadyStored(name) }
      return present
    }
    return request.replaces ? nil : try store.list().first { $0.manifest.source == reference.source }
  }

  private static func shards(in part: PartFile, of reference: HubReference) throws -> [String] {
    let bytes = try FileOperations.contents(of: part.path, limit: 256 << 20)
    guard let object = (try? JSONValue(parsing: bytes))?.object else {
      throw HubError.nothingUsable(
        repository: reference.repository, reason: "its '\(HubSelection.indexName)' is not JSON")
    }
    return try ShardIndex(object, path: reference.repository + "/" + HubSelection.indexName).files
  }

  /// Puts the verified parts under their names and the model into the store.
  private func land(
    _ parts: [(part: PartFile, sha256: String)], from fetch: HubFetch, _ model: HubModel, _ reference: HubReference,
    _ name: String
  ) throws -> ModelStore.StoredModel {
    let staging = try StagingFolder(in: store)
    let finished = staging.path + "/model"
    var files: [ModelManifest.File] = []
    for (entry, path) in zip(parts, fetch.paths) {
      if path.lowercased().hasSuffix(".gguf"), SplitName(path) == nil || SplitName(path)?.number == 1 {
        try Self.requireGGUF(entry.part.path, named: reference.source)
      }
      files.append(.init(path: path, size: entry.part.size, sha256: entry.sha256))
    }
    for (entry, file) in zip(parts, files) {
      let target = finished + "/" + file.path
      try FileOperations.makeFolder(FilePath.split(target).folder)
      try FileOperations.rename(entry.part.path, to: target)
    }
    var manifest = ModelManifest(name: name, source: reference.source, license: model.license, files: files)
    manifest.revision = reference.revision
    manifest.commit = model.commit
    let stored = try publish(manifest, from: staging)
    fetch.clean()
    return stored
  }

  private static func isLoopback(_ address: String) -> Bool {
    let host = HTTPSession.origin(of: address).dropFirst("http://".count)
    return ["127.", "localhost", "[::1]"].contains { host.hasPrefix($0) }
  }
}
