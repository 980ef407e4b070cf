import Glibc

/// A folder for one test that vanishes with its owner.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init() throws {
    var template = Array("/tmp/angel-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw TestingFailure("cannot make a temporary folder") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.remove(path) }

  /// The path of `name` in the folder.
  public func callAsFunction(_ name: String) -> String { path + "/" + name }

  /// Writes a file, making the folders above it.
  @discardableResult
  public func write(_ bytes: some Collection<UInt8>, to name: String, mode: UInt32 = 0o644) throws -> String {
    let target = self(name)
    for (index, character) in target.enumerated() where character == "/" && index > path.count {
      mkdir(String(target.prefix(index)), 0o755)
    }
    guard let file = fopen(target, "w") else { throw TestingFailure("cannot write \(target)") }
    let content = Array(bytes)
    let written = fwrite(content, 1, content.count, file)
    guard fclose(file) == 0, written == content.count else { throw TestingFailure("cannot write \(target)") }
    chmod(target, mode)
    return target
  }

  /// Makes a symbolic link to `target`.
  public func link(_ target: String, as name: String) throws {
    guard symlink(target, self(name)) == 0 else { throw TestingFailure("cannot link \(self(name))") }
  }

  /// A file's bytes.
  public static func read(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "r") else { throw TestingFailure("cannot read \(path)") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
    return bytes
  }

  /// All files below the folder, relative and sorted; folders only where they are empty.
  public func files(below start: String = "") -> [String] {
    let names = Self.names(in: start.isEmpty ? path : self(start))
    return names.flatMap { name -> [String] in
      let relative = start.isEmpty ? name : start + "/" + name
      guard Self.isFolder(self(relative)) else { return [relative] }
      let inner = files(below: relative)
      return inner.isEmpty ? [relative + "/"] : inner
    }.sorted()
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  private static func remove(_ path: String) {
    if isFolder(path) {
      for name in names(in: path) { remove(path + "/" + name) }
      rmdir(path)
    } else {
      unlink(path)
    }
  }
}

/// The test's own machinery failed.
public struct TestingFailure: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
