/// A model on a hub as the user names it: `hf:organisation/name[@revision][:pattern]`.
struct HubReference: Equatable {
  /// `organisation/name`.
  let repository: String
  /// A branch, a tag, a commit, or `refs/pr/7`.
  let revision: String
  /// Which file of several: a quantization (`Q4_K_M`), a file's path, or a pattern with `*` and `?`.
  let pattern: String?

  static let prefix = "hf:"

  /// Takes a name apart. Throws `HubError.invalidName`.
  init(_ source: String) throws(HubError) {
    var rest = source.dropFirst(Self.prefix.count)
    if rest.hasPrefix("//") { rest = rest.dropFirst(2) }
    let colon = rest.firstIndex(of: ":") ?? rest.endIndex
    let name = rest[..<colon]
    let pattern = colon < rest.endIndex ? String(rest[rest.index(after: colon)...]) : nil
    let at = name.firstIndex(of: "@") ?? name.endIndex
    repository = String(name[..<at])
    revision = at < name.endIndex ? String(name[name.index(after: at)...]) : "main"
    self.pattern = pattern
    guard Self.isRepository(repository) else {
      throw .invalidName(source, reason: "the repository '\(repository)' is not organisation/name")
    }
    guard Self.isRevision(revision) else {
      throw .invalidName(source, reason: "'\(revision)' cannot be a branch, a tag or a commit")
    }
    if let pattern, pattern.isEmpty || pattern.utf8.count > 200 || !pattern.unicodeScalars.allSatisfy(\.isPrintable) {
      throw .invalidName(source, reason: "what follows the colon is a file's name, a pattern or a quantization")
    }
  }

  /// The name in full; the revision is left out where it is the usual one.
  var source: String {
    Self.prefix + repository + (revision == "main" ? "" : "@" + revision) + (pattern.map { ":" + $0 } ?? "")
  }

  /// The repository's own name, without the organisation's.
  var shortName: String { String(repository.drop { $0 != "/" }.dropFirst()) }

  static func isRepository(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 2 && text.utf8.count <= 200
      && parts.allSatisfy { part in
        part.unicodeScalars.allSatisfy {
          ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
            || "-_.".unicodeScalars
              .contains($0)
        } && !part.isEmpty && !part.hasPrefix(".") && !part.contains("..")
      }
  }

  private static func isRevision(_ text: String) -> Bool {
    let forbidden = "\\~^:?*[@\"'<>".unicodeScalars
    return !text.isEmpty && text.utf8.count <= 250 && !text.hasPrefix("-") && !text.hasPrefix("/")
      && !text.hasSuffix("/") && !text.contains("..") && !text.contains("//")
      && text.unicodeScalars.allSatisfy { $0.isPrintable && !forbidden.contains($0) }
  }
}

extension Unicode.Scalar {
  /// Printable ASCII, the space left out.
  var isPrintable: Bool { value > 0x20 && value < 0x7F }
}
