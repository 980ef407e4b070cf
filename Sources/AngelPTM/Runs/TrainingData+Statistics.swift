public import AngelCore
public import AngelData

extension TrainingData {
  /// What was read.
  public struct Statistics: Sendable, Hashable {
    public var rows = 0
    public var tokens = 0
    public var trainedTokens = 0
    /// Rows cut to the sequence length, and rows of which nothing trained was left.
    public var truncatedRows = 0
    public var droppedRows = 0
    /// Rows that became several samples, because the chat template writes earlier turns otherwise as a talk goes on.
    public var splitRows = 0
    /// The layout that rows of conversations have.
    public var layout: ConversationLayout?

    public init() {}

    private static let counts: [(key: String, count: any WritableKeyPath<Statistics, Int> & Sendable)] = [
      ("rows", \.rows), ("tokens", \.tokens), ("trained_tokens", \.trainedTokens), ("truncated_rows", \.truncatedRows),
      ("dropped_rows", \.droppedRows), ("split_rows", \.splitRows),
    ]

    public var json: JSONValue {
      var object = JSONObject(Self.counts.map { ($0.key, .integer(self[keyPath: $0.count])) })
      object["layout"] = layout.map { .string($0.rawValue) } ?? .null
      return .object(object)
    }

    /// What `json` has written.
    init(json: JSONValue) {
      for (key, count) in Self.counts { self[keyPath: count] = json[key]?.integer ?? 0 }
      layout = json["layout"]?.string.flatMap { ConversationLayout(rawValue: $0) }
    }

    /// Adds what was read of other files.
    mutating func add(_ other: Statistics) {
      for (_, count) in Self.counts { self[keyPath: count] += other[keyPath: count] }
      layout = other.layout ?? layout
    }
  }
}
