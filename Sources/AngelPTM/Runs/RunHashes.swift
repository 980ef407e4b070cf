import AngelCheckpoint
import AngelCore

/// The digests of what a run has read and written.
enum RunHashes {
  typealias Entry = (role: String, path: String, bytes: Int, digest: String)

  /// Files above this many bytes are named without a digest.
  private static let limit = 1 << 30

  /// - Parameters:
  ///   - models: what the run began from, each with its role.
  ///   - recipeFile: the whole recipe, as the run has written it.
  static func of(
    _ recipe: TrainingRecipe, models: [(role: String, path: String)], recipeFile: String, results: [String],
    interruption: Interruption
  ) throws -> [Entry] {
    var files = [("recipe", recipeFile)]
    files += recipe.data.train.map { ("training data", $0) }
    files += recipe.data.validation.map { ("validation data", $0) }
    for (role, path) in models + results.map({ ("result", $0) }) {
      guard FilePath.kind(path) == .folder else {
        files.append((role, path))
        continue
      }
      files += try FilePath.names(in: path).sorted().map { (role, FilePath.join(path, $0)) }
    }
    return try files.compactMap { try entry($0, $1, interruption) }
  }

  private static func entry(_ role: String, _ path: String, _ interruption: Interruption) throws -> Entry? {
    guard let (kind, bytes) = FilePath.status(path), kind == .file else { return nil }
    guard bytes <= limit else { return (role, path, bytes, "not taken") }
    return (role, path, bytes, try SHA256.hexadecimal(ofFile: path, interruption: interruption))
  }
}
