public import AngelCore
public import AngelData

/// Which files are learnt from, and how their rows are read.
public struct DataConfiguration: Configurable, Hashable {
  /// Files of text, JSON, tables, Parquet or tokens.
  public var train: [String] = []
  /// How much of the run each training file has, as shares of the batches; nothing: as much as it holds.
  public var weights: [Double] = []
  /// Files for validation; nothing: a share of the training data is kept back.
  public var validation: [String] = []
  /// The share kept back where no validation files are given.
  public var validationRatio = 0.0
  /// How rows write a conversation; nothing: told by their keys.
  public var layout: ConversationLayout?
  /// The key of the text in rows of pretraining data.
  public var textKey = "text"
  /// The most rows read of all files together.
  public var rows: Int?
  /// Whether an end token is put after each text in pretraining.
  public var endsTexts = true
  /// Whether samples share batches as densely as they fit.
  public var packing = true

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value("train", \.train, "files: .txt, .jsonl, .json, .csv, .tsv (also .gz, .zst), .parquet or .tokens"),
    .value("weights", \.weights, "shares of the batches, one a training file; none: as much as each holds"),
    .value("validation", \.validation, "files for validation, each with a loss of its own"),
    .value(
      "validation_ratio", \.validationRatio, in: 0...0.5, "the share kept back where no validation files are given"),
    .value("layout", \.layout, "messages, sharegpt, alpaca or pair; null: told by the rows' keys"),
    .value("text_key", \.textKey, "the key of the text in rows of pretraining data"),
    .value("rows", \.rows, in: 1...1_000_000_000, "the most rows read; null: all"),
    .value("end_texts", \.endsTexts, "put an end token after each text in pretraining"),
    .value("packing", \.packing, "whether conversations share batches as densely as they fit"),
  ]

  public func problems() -> [String] {
    var problems = train.isEmpty ? ["data.train is missing: name at least one file"] : []
    if !weights.isEmpty, weights.count != train.count || !weights.allSatisfy({ $0 > 0 && $0.isFinite }) {
      problems.append(
        "data.weights are \(weights.count) for \(train.count) training files: one above 0 is needed for each")
    }
    return problems
  }
}

extension DataConfiguration {
  /// Files for training that are read as one and share `rows`: with weights each by itself.
  var trainGroups: [[String]] { weights.isEmpty ? [train] : train.map { [$0] } }
}
