import Glibc

/// Paths as text, and what the file system says about them.
public enum FilePath {
  /// The folder and the last name of `path`; the folder of a bare name is `.`.
  public static func split(_ path: String) -> (folder: String, name: String) {
    var path = path[...]
    while path.count > 1, path.last == "/" { path.removeLast() }
    guard let slash = path.lastIndex(of: "/") else { return (".", String(path)) }
    let folder = slash == path.startIndex ? "/" : String(path[..<slash])
    return (folder, String(path[path.index(after: slash)...]))
  }

  /// `name` in `folder`.
  public static func join(_ folder: String, _ name: String) -> String {
    folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }

  /// What a path can lead to.
  public enum Kind: Sendable { case file, folder, other }

  /// What `path` leads to, symbolic links followed; nil when it leads nowhere.
  public static func kind(_ path: String) -> Kind? { status(path)?.kind }

  /// What `path` leads to, symbolic links followed, and the size of a file in bytes; nil when it leads nowhere.
  public static func status(_ path: String) -> (kind: Kind, size: Int)? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return (.file, Int(status.st_size))
    case S_IFDIR: return (.folder, 0)
    default: return (.other, 0)
    }
  }

  /// The bytes of a small file, read and not mapped; throws where there are more than `limit`.
  public static func contents(of path: String, limit: Int) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .lastSystemError("open", path) }
    defer { close(descriptor) }
    var (bytes, piece) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 16))
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .lastSystemError("read", path) }
      if count == 0 { return bytes }
      bytes += piece[..<count]
      guard bytes.count <= limit else {
        throw .system(operation: "read", path: path, reason: "it has more than the \(limit) bytes expected at most")
      }
    }
  }

  /// The names in a folder, sorted, hidden ones left out.
  public static func names(in folder: String) throws(FileError) -> [String] {
    guard let names = entries(of: folder) else { throw .lastSystemError("list", folder) }
    return names.filter { !$0.hasPrefix(".") }
  }

  /// The names in a folder, sorted, without `.` and `..`; nil with `errno` set when it cannot be read.
  public static func entries(of folder: String) -> [String]? {
    guard let stream = opendir(folder) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The bytes an ordinary user may still write to the file system of `path`, or of the nearest folder above it that
  /// exists; nil when it does not say.
  public static func freeBytes(at path: String) -> Int? {
    var folder = path
    while kind(folder) == nil, folder != "/", folder != "." { folder = split(folder).folder }
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return nil }
    let (bytes, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: status.f_frsize))
    return overflow ? Int.max : bytes
  }
}
