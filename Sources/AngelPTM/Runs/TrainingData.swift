public import AngelCore
public import AngelData
import AngelText

/// A recipe's files as batches, with what was found in them.
public struct TrainingData: Sendable {
  public let train: any BatchSource
  /// Nothing where nothing is kept for it.
  public let validations: [Validation]
  public let statistics: Statistics

  /// Rows that are validated by, of one file or kept back from the training data.
  public struct Validation: Sendable {
    public let name: String
    public let source: any BatchSource
  }

  /// What training reads, as a digest: a run is only taken up with the same.
  public let digest: String
  private let cache: TokenCache

  /// Reads and encodes everything; throws at the first row that cannot be used, by its place.
  public init(_ recipe: TrainingRecipe, _ encoding: Encoding, progress: ProgressReporter, interruption: Interruption)
    throws
  {
    var reader = RowReader(recipe: recipe, encoding: encoding, progress: progress, interruption: interruption)
    // With weights every training file is a task of its own.
    let (weights, groups) = (recipe.data.weights, recipe.data.trainGroups)
    var (sources, kept): ([any BatchSource], [Validation]) = ([], [])
    for (files, name) in zip(groups, Self.names(of: groups.map { $0[0] })) {
      let (source, rest) = try recipe.rowsAreTexts ? reader.texts(files) : reader.conversations(files)
      sources.append(source)
      if let rest { kept.append(Validation(name: name, source: rest)) }
    }
    train = weights.isEmpty ? sources[0] : MixtureSource(sources, weights: weights, seed: UInt64(recipe.seed))
    validations =
      try recipe.data.validation.isEmpty
      ? kept
      : zip(recipe.data.validation, Self.names(of: recipe.data.validation)).map { path, name in
        if recipe.rowsAreTexts {
          let stream = try reader.stream([path])
          return Validation(name: name, source: try reader.windows(stream, seed: nil))
        }
        let samples = try reader.samples([path])
        return Validation(name: name, source: try reader.packed(samples, seed: nil))
      }
    statistics = reader.statistics
    (digest, cache) = (reader.digest, reader.cache)
  }

  /// Removes token files that the run's folder has of other recipes or other data.
  func removeStaleTokens() throws { try cache.removeOthers() }

  /// What files are called in reports: their names without endings, or their paths where those are the same.
  private static func names(of paths: [String]) -> [String] {
    let short = paths.map { String(FilePath.split($0).name.prefix { $0 != "." }) }
    return zip(paths, short).map { path, name in short.count { $0 == name } > 1 ? path : name }
  }
}

extension RowReader {
  /// Windows of the files' texts, and of the share that is kept back for validation.
  fileprivate mutating func texts(
    _ files: [String]
  ) throws -> (train: any BatchSource, validation: (any BatchSource)?) {
    let stream = try stream(files)
    let held = recipe.data.validation.isEmpty ? Int(Double(stream.count) * recipe.data.validationRatio) : 0
    let train = try windows(stream.slice(0..<(stream.count - held), name: stream.name), seed: recipe.seed)
    guard held > 0 else { return (train, nil) }
    return (train, try windows(stream.slice((stream.count - held)..<stream.count, name: stream.name), seed: nil))
  }

  /// The files' conversations, and of those the share that is kept back for validation.
  fileprivate mutating func conversations(
    _ files: [String]
  ) throws -> (train: any BatchSource, validation: (any BatchSource)?) {
    let samples = try samples(files)
    guard recipe.data.validation.isEmpty, recipe.data.validationRatio > 0, samples.count > 1 else {
      return (try packed(samples, seed: recipe.seed), nil)
    }
    let count = max(1, Int(Double(samples.count) * recipe.data.validationRatio))
    let (kept, rest) = samples.split(at: count, seed: UInt64(recipe.seed), stream: .max - 2)
    return (try packed(rest, seed: recipe.seed), try packed(kept, seed: nil))
  }
}
