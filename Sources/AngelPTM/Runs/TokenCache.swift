import AngelCheckpoint
import AngelCore
import AngelData
import AngelText
import Glibc

/// Rows as tokens, made once a run: large sets lie in the run's folder, where taking it up finds them again.
///
/// A file's name is a digest of all that its tokens follow from: the data files by what the file system says of them, the
/// whole description of the tokenizer with its begin and end tokens, the chat template, how rows are read. A file that is
/// found is used when its content has the digest that was written with it. Sets below `held` bytes stay in memory and are
/// encoded each time.
struct TokenCache: Sendable {
  private let folder: String
  private let recipe: TrainingRecipe
  private let encoding: TrainingData.Encoding
  /// A set of fewer bytes of tokens is held in memory rather than written.
  private let holds: Int
  /// The names of files that are in use.
  private var used: Set<String> = []

  static let held = 64 << 20
  /// Changes when the same rows become other tokens.
  private static let version = 2

  init(_ recipe: TrainingRecipe, _ encoding: TrainingData.Encoding, holds: Int = held) {
    folder = FilePath.join(recipe.output.folder, "tokens")
    self.recipe = recipe
    self.encoding = encoding
    self.holds = holds
  }

  /// The tokens of `paths` as they were kept, or as `fill` makes them, with what it counts.
  mutating func tokens(
    of paths: [String], isWeighted: Bool,
    fill: (_ writer: inout TokenFileWriter) throws -> TrainingData.Statistics
  ) throws -> (TokenFile, TrainingData.Statistics) {
    let name = try key(paths, isWeighted) + Self.ending
    let path = FilePath.join(folder, name)
    used.insert(name)
    if let found = open(path, isWeighted) { return (found, .init(json: found.header.about)) }
    let (folder, tokenizer) = (self.folder, encoding.tokenizer)
    var writer = TokenFileWriter(
      path: path, vocabularySize: tokenizer.vocabularySize, tokenizerDigest: tokenizer.digest, isWeighted: isWeighted,
      holds: holds, makeFolder: { try FileOperations.makeFolder(folder) })
    let statistics = try fill(&writer)
    return (try writer.finish(about: statistics.json), statistics)
  }

  /// The file at `path`, if it is there and sound; one that is not is made again.
  private func open(_ path: String, _ isWeighted: Bool) -> TokenFile? {
    guard FilePath.kind(path) == .file, let file = try? TokenFile(path: path) else { return nil }
    guard file.header.isWeighted == isWeighted, file.header.tokenizerDigest == encoding.tokenizer.digest else {
      return nil
    }
    guard (try? file.checkContent()) != nil else { return nil }
    // What packing relies on.
    let lengths = 2...(recipe.sequenceLength + 1)
    guard !isWeighted || (0..<file.header.documentCount).allSatisfy({ lengths.contains(file.document($0).count) })
    else { return nil }
    return file
  }

  private func key(_ paths: [String], _ isWeighted: Bool) throws -> String {
    var object = JSONObject([
      ("version", .integer(Self.version)), ("tokenizer", .string(encoding.tokenizer.description.digest)),
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
    return String(SHA256.hexadecimal(of: Array(JSONValue.object(object).encoded().utf8)).prefix(Self.keyLength))
  }

  /// What tells a data file from what it was: its path, which file of which device it is, its size, and when its content
  /// and its entry were last changed; copying times along (`cp -p`) leaves the last one new.
  private static func identity(_ path: String) throws -> [JSONValue] {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError.lastSystemError("open", path) }
    let (content, entry) = (status.st_mtim, status.st_ctim)
    let numbers = [
      Int(bitPattern: UInt(status.st_dev)), Int(bitPattern: UInt(status.st_ino)), Int(status.st_size),
      content.tv_sec, content.tv_nsec, entry.tv_sec, entry.tv_nsec,
    ]
    return [.string(path)] + numbers.map { .integer($0) }
  }

  // MARK: Names

  private static let keyLength = 32
  private static let ending = ".tokens"

  /// Whether a cache has made the file `name`: a key and the ending, or what a killed process left of writing such a file
  /// (`.KEY.tokens.PROCESS-NUMBER.partial`).
  static func isOwn(_ name: String) -> Bool {
    let isPartial = name.hasPrefix(".") && name.hasSuffix(".partial")
    let rest = isPartial ? name.dropFirst() : name[...]
    let (key, tail) = (rest.utf8.prefix(keyLength), String(rest.dropFirst(keyLength)))
    let isKey = key.count == keyLength && key.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    return isKey && (isPartial ? tail.hasPrefix(ending + ".") : tail == ending)
  }

  /// Removes the files of other recipes and of other data; those that no cache has made stay.
  func removeOthers() throws {
    for name in FilePath.entries(of: folder) ?? [] where !used.contains(name) && Self.isOwn(name) {
      try FileOperations.remove(FilePath.join(folder, name))
    }
  }
}
