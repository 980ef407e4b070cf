import AngelTesting
import Glibc

/// The repository as text, for tests that hold documents and sources to each other.
enum SourceTree {
  /// The repository's folder.
  static let root = Goldens.path("").split(separator: "/").dropLast(2).reduce(into: "") { $0 += "/" + $1 }

  /// Whether a path from the repository's folder exists.
  static func exists(_ path: String) -> Bool { access(root + "/" + path, F_OK) == 0 }

  /// A file's text.
  static func text(_ path: String) throws -> String {
    String(decoding: try TemporaryFolder.read(root + "/" + path), as: UTF8.self)
  }

  /// A file's lines, without their ends.
  static func lines(_ path: String) throws -> [String] {
    try text(path).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// All files below a folder whose names end so, hidden ones left out, sorted.
  static func files(below folder: String, ending: String) -> [String] {
    guard let stream = opendir(folder.isEmpty ? root : root + "/" + folder) else { return [] }
    defer { closedir(stream) }
    var found: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard !name.hasPrefix(".") else { continue }
      let path = folder.isEmpty ? name : folder + "/" + name
      if entry.pointee.d_type == UInt8(DT_DIR) {
        found += files(below: path, ending: ending)
      } else if name.hasSuffix(ending) {
        found.append(path)
      }
    }
    return found.sorted()
  }

  /// Every document: the Markdown files of the repository.
  static let documents = files(below: "", ending: ".md")
}

extension String {
  /// Without spaces at both ends.
  var trimmed: String {
    var text = self[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
