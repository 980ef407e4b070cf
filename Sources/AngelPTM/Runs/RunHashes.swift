import AngelCheckpoint
import AngelCore

/// The digests of what a run has read and written.
enum RunHashes {
  typealias Entry = (role: String, path: String, bytes: Int, digest: String)

  /// Files above this many bytes are named without a digest.
  private static let limit = 1 << 30

  static func of(_ recipe: TrainingRecipe, model: Checkpoint?, recipeFile: String, results: [String]) throws -> [Entry]
  {
    var entries = try [entry("recipe", recipeFile)].compactMap { $0 }
    for path in recipe.data.train { entries += try [entry("training data", path)].compactMap { $0 } }
    for path in recipe.data.validation { entries += try [entry("validation data", path)].compactMap { $0 } }
    if let model { entries += try files("model before", model.path) }
    for result in results { entries += try files("result", result) }
    return entries
  }

  /// A file, or those of a folder.
  private static func files(_ role: String, _ path: String) throws -> [Entry] {
    guard FilePath.kind(path) == .folder else { return try [entry(role, path)].compactMap { $0 } }
    return try FilePath.names(in: path).sorted().compactMap { try entry(role, FilePath.join(path, $0)) }
  }

  private static func entry(_ role: String, _ path: String) throws -> Entry? {
    guard let (kind, bytes) = FilePath.status(path), kind == .file else { return nil }
    guard bytes <= limit else { return (role, path, bytes, "not taken") }
    let file = try MappedFile(path: path)
    let digest = withExtendedLifetime(file) {
      var hash = SHA256()
      hash.update(file.unsafeBytes)
      return hash.hexadecimal()
    }
    return (role, path, bytes, digest)
  }
}
