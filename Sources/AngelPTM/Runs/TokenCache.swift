import AngelCheckpoint
import AngelCore
import AngelData
import AngelText
import Glibc

/// Rows as tokens, made once a run: large sets lie in the run's folder, where taking it up finds them again.
///
/// A file's name is a digest of all that its tokens follow from: the data files by path, size and time of change, the
/// tokenizer, the chat template, how rows are read. Sets below `held` bytes stay in memory and are encoded each time.
struct TokenCache: Sendable {
  private let folder: String
  private let recipe: TrainingRecipe
  private let encoding: TrainingData.Encoding
  /// The names of files that are in use.
  private var used: Set<String> = []

  /// Bytes of tokens that are held in memory rather than written.
  static let held = 64 << 20
  /// Changes when the same rows become other tokens.
  private static let version = 1

  init(_ recipe: TrainingRecipe, _ encoding: TrainingData.Encoding) {
    folder = FilePath.join(recipe.output.folder, "tokens")
    self.recipe = recipe
    self.encoding = encoding
  }

  /// The tokens of `paths` as they were kept, or as `fill` makes them, with what it counts.
  mutating func tokens(
    of paths: [String], isWeighted: Bool,
    fill: (_ writer: inout TokenFileWriter) throws -> TrainingData.Statistics
  ) throws -> (TokenFile, TrainingData.Statistics) {
    let name = try key(paths, isWeighted) + ".tokens"
    let path = FilePath.join(folder, name)
    used.insert(name)
    if let found = open(path, isWeighted) { return (found, .init(json: found.header.about)) }
    let (folder, tokenizer) = (self.folder, encoding.tokenizer)
    var writer = TokenFileWriter(
      path: path, vocabularySize: tokenizer.vocabularySize, tokenizerDigest: tokenizer.digest, isWeighted: isWeighted,
      holds: Self.held, makeFolder: { try FileOperations.makeFolder(folder) })
    let statistics = try fill(&writer)
    return (try writer.finish(about: statistics.json), statistics)
  }

  /// The file at `path`, if it is there and sound; one that is not is made again.
  private func open(_ path: String, _ isWeighted: Bool) -> TokenFile? {
    guard FilePath.kind(path) == .file, let file = try? TokenFile(path: path) else { return nil }
    guard file.header.isWeighted == isWeighted, file.header.tokenizerDigest == encoding.tokenizer.digest else {
      return nil
    }
    // What packing relies on.
    let lengths = 2...(recipe.sequenceLength + 1)
    guard !isWeighted || (0..<file.header.documentCount).allSatisfy({ lengths.contains(file.document($0).count) })
    else { return nil }
    return file
  }

  private func key(_ paths: [String], _ isWeighted: Bool) throws -> String {
    var object = JSONObject([
      ("version", .integer(Self.version)), ("tokenizer", .string(encoding.tokenizer.digest)),
      ("files", .array(try paths.map { .array(try Self.identity($0)) })),
      ("rows", recipe.data.rows.map { .integer($0) } ?? .null),
    ])
    if isWeighted {
      object["template"] = .string(encoding.template?.source ?? "")
      object["ends"] = .array(encoding.endTokens.sorted().map { .integer(Int($0)) })
      object["layout"] = recipe.data.layout.map { .string($0.rawValue) } ?? .null
      object["length"] = .integer(recipe.sequenceLength)
    } else {
      object["key"] = .string(recipe.data.textKey)
      object["end"] = .bool(recipe.data.endsTexts)
    }
    return String(SHA256.hexadecimal(of: Array(JSONValue.object(object).encoded().utf8)).prefix(32))
  }

  /// What tells a data file from what it was: path, bytes, time of the last change.
  private static func identity(_ path: String) throws -> [JSONValue] {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError.lastSystemError("open", path) }
    return [
      .string(path), .integer(Int(status.st_size)), .integer(status.st_mtim.tv_sec), .integer(status.st_mtim.tv_nsec),
    ]
  }

  /// Removes all token files but those that are in use.
  func removeOthers() throws {
    for name in FilePath.entries(of: folder) ?? [] where !used.contains(name) {
      guard name.hasSuffix(".tokens") || name.hasSuffix(".partial") else { continue }
      try FileOperations.remove(FilePath.join(folder, name))
    }
  }
}
