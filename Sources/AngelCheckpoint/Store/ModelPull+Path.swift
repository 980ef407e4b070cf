import AngelCore
import Glibc

extension ModelPull {
  /// Copies (or links) a local GGUF file or model folder into the store.
  func pullPath(_ request: Request, path: String) throws -> Result {
    guard let status = FilePath.status(path) else { throw fileError("read", path, ENOENT) }
    let source = FileOperations.absolute(path)
    let name = request.name ?? Self.name(for: source)
    if let present = try present(name, request) {
      guard present.manifest.source == source else { throw StoreError.alreadyStored(name) }
      return Result(model: present, wasPresent: true)
    }
    let sources = try Self.modelFiles(at: source, kind: status.kind)
    let total = sources.reduce(0) { $0 + $1.size }
    if let expected = request.sha256, sources.count == 1 {
      try requireDigest(expected, ofFile: source)
    } else if request.sha256 != nil {
      throw StoreError.unsupportedSource(path, reason: "--sha256 is for a single file")
    }
    if !request.links { try FileOperations.requireSpace(total, at: store.root) }
    let staging = try StagingFolder(in: store)
    let finished = staging.path + "/model"
    try FileOperations.makeFolder(finished)
    let display = progress.start(name, total: total)
    var files: [ModelManifest.File] = []
    for file in sources {
      let target = finished + "/" + file.relative
      try FileOperations.makeFolder(FilePath.split(target).folder)
      if request.links {
        guard symlink(file.absolute, target) == 0 else { throw fileError("link", target) }
        let digest = try SHA256.hexadecimal(ofFile: file.absolute, interruption: interruption)
        files.append(.init(path: file.relative, size: file.size, sha256: digest))
        display.advance(by: file.size)
      } else {
        let copy = try copyFile(file.absolute, to: target) { display.advance(by: $0) }
        files.append(.init(path: file.relative, size: copy.size, sha256: copy.sha256))
      }
    }
    display.finish()
    let manifest = ModelManifest(name: name, source: source, license: nil, files: files)
    return Result(model: try publish(manifest, from: staging), wasPresent: false)
  }

  /// Copies a file and digests it on the way.
  func copyFile(
    _ source: String, to target: String, progress: (Int) -> Void = { _ in }
  ) throws -> (size: Int, sha256: String) {
    try FileOperations.makeFolder(FilePath.split(target).folder)
    let input = try OpenFile(reading: source)
    let output = try OpenFile(writing: target)
    var hash = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { buffer.deallocate() }
    var offset = 0
    while true {
      try interruption.check()
      let count = try input.read(at: offset, into: buffer)
      guard count > 0 else { break }
      let part = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      hash.update(part)
      try output.write(part)
      offset += count
      progress(count)
    }
    try output.synchronize()
    return (offset, hash.hexadecimal())
  }

  func requireDigest(_ expected: String, ofFile path: String) throws {
    let actual = try SHA256.hexadecimal(ofFile: path, interruption: interruption)
    guard actual == expected.lowercased() else {
      throw StoreError.digestMismatch(file: path, expected: expected.lowercased(), actual: actual)
    }
  }

  /// A store name made from a file's or folder's: its stem in lower case, other characters as dashes.
  static func name(for path: String) -> String {
    var stem = FilePath.split(path).name
    for ending in [".gguf", ".safetensors"] where stem.lowercased().hasSuffix(ending) {
      stem = String(stem.dropLast(ending.count))
    }
    let letters = stem.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "-" }
    return String(letters.drop { "._-".contains($0) }.prefix(100))
  }

  private struct SourceFile {
    let absolute: String
    let relative: String
    let size: Int
  }

  private static func modelFiles(at path: String, kind: FilePath.Kind) throws(StoreError) -> [SourceFile] {
    switch kind {
    case .other: throw .notAModel(path: path, reason: "it is neither a file nor a folder")
    case .file:
      guard path.lowercased().hasSuffix(".gguf") else {
        throw .notAModel(
          path: path, reason: "a single file must be a .gguf file; give the folder of a safetensors model")
      }
      try requireGGUF(path, named: path)
      return [SourceFile(absolute: path, relative: FilePath.split(path).name, size: try size(of: path))]
    case .folder:
      var files: [SourceFile] = []
      try gather(path, below: "", depth: 0, into: &files)
      let hasWeights = files.contains { $0.relative.hasSuffix(".gguf") || $0.relative.hasSuffix(".safetensors") }
      guard hasWeights else { throw .notAModel(path: path, reason: "the folder has no .gguf or .safetensors file") }
      return files
    }
  }

  static func requireGGUF(_ path: String, named name: String) throws(StoreError) {
    let file = try OpenFile(reading: path)
    var magic: UInt32 = 0
    var failure: StoreError?
    withUnsafeMutableBytes(of: &magic) { buffer in
      do throws(StoreError) { _ = try file.read(at: 0, into: buffer) } catch { failure = error }
    }
    if let failure { throw failure }
    guard UInt32(littleEndian: magic) == 0x4655_4747 else {
      throw .notAModel(path: name, reason: "it does not start with the letters GGUF")
    }
  }

  private static func size(of path: String) throws(StoreError) -> Int { try OpenFile(reading: path).size }

  /// Weights, settings and notes; other formats of the same weights (pickles above all) stay behind.
  private static func gather(
    _ folder: String, below prefix: String, depth: Int, into files: inout [SourceFile]
  ) throws(StoreError) {
    let endings = [".gguf", ".safetensors", ".json", ".jinja", ".txt", ".md", ".model"]
    for name in try FileOperations.names(in: folder) where !name.hasPrefix(".") && name != ModelManifest.fileName {
      let path = folder + "/" + name
      switch FilePath.status(path)?.kind {
      case .folder where depth < 2: try gather(path, below: prefix + name + "/", depth: depth + 1, into: &files)
      case .file where endings.contains { name.lowercased().hasSuffix($0) } || name.hasPrefix("LICENSE"):
        files.append(
          SourceFile(absolute: FileOperations.absolute(path), relative: prefix + name, size: try size(of: path)))
      default: continue
      }
    }
  }

  /// The path in a `file:` address, percent escapes resolved.
  static func path(ofFileAddress address: String) throws(StoreError) -> String {
    let rest = Array(address.utf8.dropFirst("file://".utf8.count))
    guard rest.first == UInt8(ascii: "/") else {
      throw .unsupportedSource(address, reason: "a file address needs a path from the root: file:///folder/model.gguf")
    }
    var bytes: [UInt8] = []
    var position = 0
    while position < rest.count {
      if rest[position] == UInt8(ascii: "%"), position + 2 < rest.count,
        let value = UInt8(String(decoding: rest[(position + 1)...(position + 2)], as: UTF8.self), radix: 16), value != 0
      {
        bytes.append(value)
        position += 3
      } else {
        bytes.append(rest[position])
        position += 1
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
