import AngelCore

extension ModelPull {
  /// Downloads a GGUF file from a URL into the store; an earlier download of the same URL is continued.
  func pullAddress(_ request: Request) throws -> Result {
    let url = request.source
    guard let fileName = Self.fileName(of: url) else {
      throw StoreError.unsupportedSource(
        url,
        reason: "the address of a .gguf file is wanted; models in several files: download the folder, pull its path")
    }
    if let digest = request.sha256 { try Self.check(digest: digest) }
    let name = request.name ?? Self.name(for: fileName)
    if let present = try present(name, request) {
      guard present.manifest.source == Self.withoutCredentials(url) else { throw StoreError.alreadyStored(name) }
      if let expected = request.sha256?.lowercased(), present.manifest.files.first?.sha256 != expected {
        throw StoreError.alreadyStored(name)
      }
      return Result(model: present, wasPresent: true)
    }
    let download = try Download(url, in: store.downloadsFolder, patience: patience, interruption: interruption)
    let display = progress.start(name, total: nil)
    defer { display.abandon() }
    try download.run(progress: display, spaceAt: store.root)
    display.finish()
    let digest = try SHA256.hexadecimal(ofFile: download.path, interruption: interruption)
    do {
      if let expected = request.sha256?.lowercased(), digest != expected {
        throw StoreError.digestMismatch(file: url, expected: expected, actual: digest)
      }
      try Self.requireGGUF(download.path, named: url)
    } catch {
      // What is complete and wrong will not become right by being continued.
      try download.discard()
      throw error
    }
    let staging = try StagingFolder(in: store)
    let finished = staging.path + "/model"
    try FileOperations.makeFolder(finished)
    try download.move(to: finished + "/" + fileName)
    let size = FilePath.status(finished + "/" + fileName)?.size ?? 0
    let manifest = ModelManifest(
      name: name, source: Self.withoutCredentials(url), license: nil,
      files: [.init(path: fileName, size: size, sha256: digest)])
    return Result(model: try publish(manifest, from: staging), wasPresent: false)
  }

  /// The last component of a URL's path, when it is a sound name of a GGUF file.
  static func fileName(of url: String) -> String? {
    guard let authority = url.range(of: "://") else { return nil }
    let path = url[authority.upperBound...].prefix { $0 != "?" && $0 != "#" }
    let components = path.split(separator: "/")
    guard components.count > 1, let last = components.last, last.lowercased().hasSuffix(".gguf"), last.count > 5,
      last.count <= 200, !last.hasPrefix("."),
      last.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value < 0x7F && $0 != "\\" })
    else { return nil }
    return String(last)
  }

  static func check(digest: String) throws(StoreError) {
    guard digest.utf8.count == 64, digest.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
      throw .unsupportedSource(digest, reason: "a SHA-256 is 64 hexadecimal digits")
    }
  }

  /// The URL without user, password and query, which may hold secrets.
  static func withoutCredentials(_ url: String) -> String {
    guard let authority = url.range(of: "://") else { return url }
    let rest = url[authority.upperBound...].prefix { $0 != "?" && $0 != "#" }
    let host = rest.prefix { $0 != "/" }
    let bare = host.lastIndex(of: "@").map { host[host.index(after: $0)...] } ?? host
    return String(url[..<authority.upperBound] + bare + rest[host.endIndex...])
  }
}

extension String {
  /// The first occurrence of `part`.
  fileprivate func range(of part: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(part) { return start..<(index(start, offsetBy: part.count)) }
      start = index(after: start)
    }
    return nil
  }
}
