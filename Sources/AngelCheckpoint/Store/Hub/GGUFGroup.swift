import AngelCore
import Glibc

/// A GGUF model on a hub: one file, or all parts of a split one.
struct GGUFGroup: Equatable {
  /// The path of its first part.
  let name: String
  let files: [HubFile]

  /// The models among `files` in order of their names; files that only go with one (projectors, importance matrices,
  /// drafts) and split ones that lack a part are left out.
  static func all(in files: [HubFile]) -> [GGUFGroup] {
    let models = files.filter { file in
      let name = FilePath.split(file.path).name.lowercased()
      return name.hasSuffix(".gguf") && !["mmproj", "imatrix", "mtp-", "eagle3-"].contains { name.contains($0) }
    }
    let byPath = Dictionary(models.map { ($0.path, $0) }) { first, _ in first }
    return models.sorted { $0.path < $1.path }.compactMap { file in
      guard let split = SplitName(file.path) else { return GGUFGroup(name: file.path, files: [file]) }
      guard split.number == 1 else { return nil }
      let parts = (1...split.count).compactMap { byPath[split.path($0)] }
      return parts.count == split.count ? GGUFGroup(name: file.path, files: parts) : nil
    }
  }

  /// Whether `pattern` means this model: a pattern with `*`, `?` or `[` of its path or its file's name, its name without
  /// the ending, or a word in its path that stands between dashes, dots or slashes, as quantizations do. Letters of
  /// either case are the same.
  func matches(_ pattern: String) -> Bool {
    let (pattern, path) = (pattern.lowercased(), name.lowercased())
    let fileName = FilePath.split(path).name
    if pattern.contains(where: { "*?[".contains($0) }) {
      return fnmatch(pattern, path, 0) == 0 || fnmatch(pattern, fileName, 0) == 0
    }
    if [path, fileName].contains(where: { $0 == pattern || $0 == pattern + ".gguf" }) { return true }
    let (letters, word) = (Array(path.utf8), Array(pattern.utf8))
    guard letters.count > word.count else { return false }
    return (0..<(letters.count - word.count)).contains { start in
      letters[start...].starts(with: word) && (start == 0 || "-./_".utf8.contains(letters[start - 1]))
        && "-./".utf8.contains(letters[start + word.count])
    }
  }
}
