import AngelCheckpoint
import AngelCore
import AngelData
import AngelText

/// A few rows of a recipe's data, spread over its files, as tokens: uncut, so that what cutting loses can be told.
struct DoctorRows {
  private(set) var samples: [TokenSample] = []
  /// The first row that layout or chat template refuse, and how many they do.
  private(set) var refusal: (message: String, count: Int)?

  /// Rows that are looked at, of all files together.
  static let limit = 256
  /// Bytes of a text that are looked at.
  static let textLimit = 256 << 10

  init(_ recipe: TrainingRecipe, _ encoding: TrainingData.Encoding, interruption: Interruption) throws {
    if recipe.rowsAreTexts {
      try readTexts(recipe, encoding, interruption)
    } else {
      try readConversations(recipe, encoding, interruption)
    }
  }

  private mutating func readConversations(
    _ recipe: TrainingRecipe, _ encoding: TrainingData.Encoding, _ interruption: Interruption
  ) throws {
    guard let encoder = try encoding.conversationEncoder() else {
      throw PTMError.recipe("the model '\(recipe.model ?? "")' has no chat template, which stage sft needs")
    }
    try forEachRow(recipe, keys: ConversationLayout.keys, interruption) { record in
      try encoder.encode(record, recipe.data.layout).samples
    }
  }

  private mutating func readTexts(
    _ recipe: TrainingRecipe, _ encoding: TrainingData.Encoding, _ interruption: Interruption
  ) throws {
    if recipe.data.train.allSatisfy({ $0.hasSuffix(".tokens") }) {
      var reader = RowReader(recipe: recipe, encoding: encoding, progress: .silent, interruption: interruption)
      let stream = try reader.stream(recipe.data.train)
      let (length, count) = (recipe.sequenceLength + 1, 8)
      for window in 0..<count where stream.count > length {
        let start = (stream.count - length) * window / count
        samples.append(TokenSample(try stream[start..<(start + length)]))
      }
      return
    }
    let texts = encoding.textTokens(recipe.data)
    try forEachRow(recipe, keys: [recipe.data.textKey], interruption) { record in
      [TokenSample(try texts.tokens(of: record, limit: Self.textLimit))]
    }
  }

  /// Encodes rows of every file, as many of each as its share, or a row of as many files as rows are looked at; those that
  /// are refused are counted.
  private mutating func forEachRow(
    _ recipe: TrainingRecipe, keys: Set<String>, _ interruption: Interruption,
    _ encode: (Record) throws -> [TokenSample]
  ) throws {
    let files = recipe.data.train
    let fileCount = min(files.count, Self.limit)
    let share = Self.limit / fileCount
    for place in 0..<fileCount {
      let path = files[place * files.count / fileCount]
      let records = try RecordSample.spread(
        path, count: share, rows: recipe.data.rows ?? .max, keys: keys, interruption: interruption)
      for record in records {
        try interruption.check()
        // A text that cannot be read ends a run and the doctor alike.
        do { samples += try encode(record) } catch let error as DataError where !recipe.rowsAreTexts {
          refusal = (refusal?.message ?? "\(error)", (refusal?.count ?? 0) + 1)
        }
      }
    }
  }

  /// A few short rows with different numbers of trained tokens, for checks that run the model: the last tokens of each,
  /// because answers stand at the end.
  func few(_ count: Int = 4, length: Int = 96) -> [TokenSample] {
    var few: [TokenSample] = []
    for sample in samples {
      // Windows of a text are all of one length; rows of a step must differ for their shares to tell.
      let part = sample.last(max(8, length - 17 * few.count))
      if part.trainedCount > 0 { few.append(part) }
      if few.count == count { break }
    }
    // One long text has rows enough.
    while few.count < count, let text = samples.first, samples.count == 1, text.count > (few.count + 2) * length {
      let end = (few.count + 2) * length
      few.append(text.part((end - max(8, length - 17 * few.count))..<end))
    }
    return few
  }
}

extension TokenSample {
  /// The last `count` tokens with their weights.
  func last(_ count: Int) -> TokenSample { part(max(0, self.count - count)..<self.count) }

  fileprivate func part(_ range: Range<Int>) -> TokenSample {
    var part = TokenSample()
    for place in range { part.append([tokens[place]], weight: weights[place]) }
    return part
  }
}

extension TokenBatch {
  /// A batch of these samples, in their order.
  init(_ samples: [TokenSample]) {
    self.init()
    for sample in samples { append(sample) }
  }
}
