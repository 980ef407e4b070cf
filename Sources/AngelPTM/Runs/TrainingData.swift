public import AngelCore
public import AngelData
import AngelText

/// A recipe's files as batches, with what was found in them.
public struct TrainingData: Sendable {
  public let train: any BatchSource
  /// Nil where nothing is kept for it.
  public let validation: (any BatchSource)?
  public let statistics: Statistics

  /// What was read.
  public struct Statistics: Sendable, Hashable {
    public var rows = 0
    public var tokens = 0
    public var trainedTokens = 0
    /// Rows cut to the sequence length, and rows of which nothing trained was left.
    public var truncatedRows = 0
    public var droppedRows = 0
    /// The layout that rows of conversations have.
    public var layout: ConversationLayout?

    public var json: JSONValue {
      [
        "rows": .integer(rows), "tokens": .integer(tokens), "trained_tokens": .integer(trainedTokens),
        "truncated_rows": .integer(truncatedRows), "dropped_rows": .integer(droppedRows),
        "layout": layout.map { .string($0.rawValue) } ?? .null,
      ]
    }
  }

  /// Reads and encodes everything; throws at the first row that cannot be used, by its place.
  public init(_ recipe: TrainingRecipe, _ encoding: Encoding, progress: ProgressReporter, interruption: Interruption)
    throws
  {
    var reader = RowReader(recipe: recipe, encoding: encoding, progress: progress, interruption: interruption)
    switch recipe.stage {
    case .pretrain:
      let stream = try reader.stream(recipe.data.train)
      let held = recipe.data.validation.isEmpty ? Int(Double(stream.count) * recipe.data.validationRatio) : 0
      train = try reader.windows(stream.slice(0..<(stream.count - held), name: stream.name), seed: recipe.seed)
      let rest: TokenStream? =
        recipe.data.validation.isEmpty
        ? held > 0 ? stream.slice((stream.count - held)..<stream.count, name: stream.name) : nil
        : try reader.stream(recipe.data.validation)
      validation = try rest.map { try reader.windows($0, seed: nil) }
    case .sft:
      var samples = try reader.samples(recipe.data.train)
      var kept: [TokenSample] = []
      if recipe.data.validation.isEmpty, recipe.data.validationRatio > 0, samples.count > 1 {
        let order = Permutation(count: samples.count, seed: UInt64(recipe.seed), stream: .max - 2)
        let count = max(1, Int(Double(samples.count) * recipe.data.validationRatio))
        kept = (0..<count).map { samples[order[$0]] }
        samples = (count..<samples.count).map { samples[order[$0]] }
      } else if !recipe.data.validation.isEmpty {
        kept = try reader.samples(recipe.data.validation)
      }
      train = try reader.packed(samples, seed: recipe.seed)
      validation = kept.isEmpty ? nil : try reader.packed(kept, seed: nil)
    }
    statistics = reader.statistics
  }
}
