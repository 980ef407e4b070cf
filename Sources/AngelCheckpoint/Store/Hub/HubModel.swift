import AngelCore

/// What a hub says about a model at one commit.
struct HubModel: Equatable {
  let commit: String
  /// From the model's card, for example `apache-2.0`.
  let license: String?
  let files: [HubFile]

  /// The answer to `/api/models/{repository}/revision/{revision}?blobs=true`. Throws `HubError.invalidAnswer`.
  init(json: JSONValue, repository: String) throws(HubError) {
    func invalid(_ reason: String) -> HubError { .invalidAnswer(repository: repository, reason: reason) }
    guard let commit = json["sha"]?.string, Self.isHexadecimal(commit, count: 40) else {
      throw invalid("it names no commit")
    }
    guard let siblings = json["siblings"]?.array else { throw invalid("it lists no files") }
    guard siblings.count <= 100_000 else { throw invalid("it lists \(siblings.count) files") }
    self.commit = commit
    license = Self.license(json)
    var files: [HubFile] = []
    for sibling in siblings {
      guard let path = sibling["rfilename"]?.string else { throw invalid("a file has no name") }
      files.append(HubFile(path: path, json: sibling))
    }
    self.files = files
  }

  private static func license(_ json: JSONValue) -> String? {
    if let license = json["cardData"]?["license"]?.string, license != "other" { return String(license.prefix(100)) }
    if let name = json["cardData"]?["license_name"]?.string { return String(name.prefix(100)) }
    let tag = json["tags"]?.array?.lazy.compactMap(\.string).first { $0.hasPrefix("license:") }
    return tag.map { String($0.dropFirst("license:".count).prefix(100)) }
  }

  /// Whether `text` is `count` lower-case hexadecimal digits.
  static func isHexadecimal(_ text: String, count: Int) -> Bool {
    text.utf8.count == count && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

/// One file of a model on a hub.
struct HubFile: Equatable {
  let path: String
  /// Nil where the hub's list does not tell (old hubs and some mirrors); the file's own head does.
  var size: Int?
  var digest: ContentDigest?

  init(path: String, size: Int?, digest: ContentDigest?) {
    self.path = path
    self.size = size
    self.digest = digest
  }

  /// One of the list's `siblings`: `lfs` is there for large files, `blobId` for all.
  init(path: String, json: JSONValue) {
    self.path = path
    size = (json["lfs"]?["size"] ?? json["size"])?.integer
    if let sha256 = json["lfs"]?["sha256"]?.string {
      digest = ContentDigest(tag: sha256)
    } else if json["lfs"] == nil || json["lfs"] == .null, let blob = json["blobId"]?.string {
      digest = ContentDigest(tag: blob)
    }
  }

  /// Why the file must not be written under its name, nil when it may.
  var objection: String? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    if path.utf8.count > 1000 || parts.count > 8 || parts.contains(where: { $0.utf8.count > 250 }) {
      return "its path is too long"
    }
    guard ModelManifest.staysInside(path) else { return "its path leads out of the model" }
    if path.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F || $0 == "\\" || $0 == ":" }) {
      return "its path has characters that no path should have"
    }
    if path.lowercased() == ModelManifest.fileName { return "the store writes a file of this name itself" }
    return nil
  }
}
