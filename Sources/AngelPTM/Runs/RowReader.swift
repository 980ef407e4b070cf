import AngelCore
import AngelData
import AngelText

/// Reads a recipe's files into tokens and counts what it finds.
struct RowReader {
  let recipe: TrainingRecipe
  let encoding: TrainingData.Encoding
  let progress: ProgressReporter
  let interruption: Interruption
  private(set) var statistics = TrainingData.Statistics()

  init(
    recipe: TrainingRecipe, encoding: TrainingData.Encoding, progress: ProgressReporter, interruption: Interruption
  ) {
    self.recipe = recipe
    self.encoding = encoding
    self.progress = progress
    self.interruption = interruption
  }

  // MARK: Text

  /// All texts of the files one after the other, each ended by the end token where there is one.
  mutating func stream(_ paths: [String]) throws -> TokenStream {
    if paths.allSatisfy({ $0.hasSuffix(".tokens") }) { return try tokenFiles(paths) }
    var tokens: [Int32] = []
    try forEachRow(paths) { reader, file, index in
      let text = try file.text(at: index, key: reader.recipe.data.textKey)
      tokens += try reader.encoding.tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: false)
      if reader.recipe.data.endsTexts, let end = reader.encoding.tokenizer.endToken { tokens.append(end) }
    }
    statistics.tokens += tokens.count
    statistics.trainedTokens += max(0, tokens.count - 1)
    return TokenStream(tokens, name: paths[0])
  }

  private mutating func tokenFiles(_ paths: [String]) throws -> TokenStream {
    let files = try paths.map { try TokenFile(path: $0) }
    let digest = encoding.tokenizer.digest
    for file in files where file.header.tokenizerDigest != digest {
      throw DataError.unusable(
        path: file.path, reason: "its tokens are of another tokenizer; make it again with `angel data tokenize`")
    }
    let stream = TokenStream(files)
    statistics.rows += files.reduce(0) { $0 + $1.header.documentCount }
    statistics.tokens += stream.count
    statistics.trainedTokens += max(0, stream.count - 1)
    return stream
  }

  func windows(_ stream: TokenStream, seed: Int?) throws -> WindowSource {
    try WindowSource(
      stream, length: recipe.sequenceLength, batchSize: recipe.batchSize, seed: UInt64(seed ?? 0), shuffles: seed != nil
    )
  }

  // MARK: Conversations

  /// The conversations of the files as tokens, none longer than the recipe's sequences.
  mutating func samples(_ paths: [String]) throws -> [TokenSample] {
    guard let encoder = try encoding.conversationEncoder() else {
      throw PTMError.recipe("the model '\(recipe.model ?? "")' has no chat template, which stage sft needs")
    }
    var samples: [TokenSample] = []
    try forEachRow(paths) { reader, file, index in
      let (row, place) = (try file.row(at: index), file.place(of: index))
      let layout = try reader.recipe.data.layout ?? ConversationLayout.detect(row, at: place)
      reader.statistics.layout = layout
      var sample = try encoder.encode(layout.conversation(row, at: place), at: place)
      if sample.count > reader.recipe.sequenceLength + 1 {
        sample.truncate(to: reader.recipe.sequenceLength + 1)
        reader.statistics.truncatedRows += 1
      }
      guard sample.trainedCount > 0 else {
        reader.statistics.droppedRows += 1
        return
      }
      reader.statistics.tokens += sample.count
      reader.statistics.trainedTokens += sample.trainedCount
      samples.append(sample)
    }
    guard !samples.isEmpty else {
      throw DataError.unusable(
        path: paths[0],
        reason: "of \(statistics.rows) rows none has a trained token within sequence_length \(recipe.sequenceLength)")
    }
    return samples
  }

  func packed(_ samples: [TokenSample], seed: Int?) throws -> PackedSource {
    let packing: PackedSource.Packing =
      recipe.data.packing ? .rows(recipe.batchSize * recipe.sequenceLength) : .samples(recipe.batchSize)
    return try PackedSource(
      samples, packing: packing, seed: UInt64(seed ?? 0), shuffles: seed != nil, name: recipe.data.train[0])
  }

  // MARK: Rows

  private mutating func forEachRow(
    _ paths: [String], _ body: (inout RowReader, RecordFile, _ index: Int) throws -> Void
  ) throws {
    var left = recipe.data.rows ?? .max
    for path in paths {
      let file = try RecordFile(path: path)
      let count = min(left, file.count)
      let display = progress.start("reading", total: count, unit: .items("rows"))
      for index in 0..<count {
        try interruption.check()
        try body(&self, file, index)
        statistics.rows += 1
        display.update(to: index + 1)
      }
      display.finish()
      left -= count
    }
  }
}
