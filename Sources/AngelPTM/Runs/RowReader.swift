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
  private(set) var cache: TokenCache
  /// Of all that has been read, in its order.
  private(set) var digest = ""

  init(
    recipe: TrainingRecipe, encoding: TrainingData.Encoding, progress: ProgressReporter, interruption: Interruption
  ) {
    self.recipe = recipe
    self.encoding = encoding
    self.progress = progress
    self.interruption = interruption
    cache = TokenCache(recipe, encoding)
  }

  // MARK: Text

  /// All texts of the files one after the other, each ended by the end token where there is one.
  mutating func stream(_ paths: [String]) throws -> TokenStream {
    if paths.allSatisfy({ $0.hasSuffix(".tokens") }) { return try tokenFiles(paths) }
    let texts = encoding.textTokens(recipe.data)
    let file = try tokens(of: paths, isWeighted: false) { [self] writer in
      var statistics = TrainingData.Statistics()
      try forEachRow(paths, keys: [recipe.data.textKey], texts.tokens) { record, tokens in
        try writer.append(tokens, continues: record.continues)
        statistics.rows += record.continues ? 0 : 1
      }
      statistics.tokens = writer.tokenCount
      statistics.trainedTokens = max(0, writer.tokenCount - 1)
      return statistics
    }
    return TokenStream([file], name: paths[0])
  }

  private mutating func tokenFiles(_ paths: [String]) throws -> TokenStream {
    let files = try paths.map { try TokenFile(path: $0) }
    for file in files {
      guard file.header.tokenizerDigest == encoding.tokenizer.digest else {
        throw DataError.unusable(
          path: file.path, reason: "its tokens are of another tokenizer; make it again with `angel data tokenize`")
      }
      guard !file.header.isWeighted else {
        throw DataError.unusable(path: file.path, reason: "it holds conversations that a run has kept, not texts")
      }
    }
    let stream = TokenStream(files, name: paths[0])
    statistics.rows += files.reduce(0) { $0 + $1.header.documentCount }
    statistics.tokens += stream.count
    statistics.trainedTokens += max(0, stream.count - 1)
    digest += files.map { "\($0.header.contentDigest),\($0.header.tokenCount);" }.joined()
    return stream
  }

  func windows(_ stream: TokenStream, seed: Int?) throws -> WindowSource {
    try WindowSource(
      stream, length: recipe.sequenceLength, batchSize: recipe.batchSize, seed: UInt64(seed ?? 0), shuffles: seed != nil
    )
  }

  // MARK: Conversations

  /// The conversations of the files as tokens, none longer than the recipe's sequences.
  mutating func samples(_ paths: [String]) throws -> TokenSamples {
    guard let encoder = try encoding.conversationEncoder() else {
      throw PTMError.recipe("the model '\(recipe.model ?? "")' has no chat template, which stage sft needs")
    }
    let layout = recipe.data.layout
    let file = try tokens(of: paths, isWeighted: true) { [self] writer in
      var statistics = TrainingData.Statistics()
      try forEachRow(paths, keys: ConversationLayout.keys) { record in
        try encoder.encode(record, layout)
      } _: { _, row in
        try add(row, to: &writer, &statistics)
      }
      guard writer.documentCount > 0 else {
        throw DataError.unusable(
          path: paths[0],
          reason: "of \(statistics.rows) rows none has a trained token within sequence_length \(recipe.sequenceLength)")
      }
      return statistics
    }
    return TokenSamples(file)
  }

  /// Writes what of a row's samples fits into a sequence and has something to learn.
  private func add(
    _ row: ConversationEncoder.Row, to writer: inout TokenFileWriter, _ statistics: inout TrainingData.Statistics
  ) throws {
    let limit = recipe.sequenceLength + 1
    statistics.rows += 1
    statistics.layout = row.layout
    if row.samples.count > 1 { statistics.splitRows += 1 }
    if row.samples.contains(where: { $0.count > limit }) { statistics.truncatedRows += 1 }
    var isDropped = true
    for var sample in row.samples {
      sample.truncate(to: limit)
      guard sample.trainedCount > 0 else { continue }
      isDropped = false
      statistics.tokens += sample.count
      statistics.trainedTokens += sample.trainedCount
      try writer.append(sample)
    }
    if isDropped { statistics.droppedRows += 1 }
  }

  func packed(_ samples: TokenSamples, seed: Int?) throws -> PackedSource {
    let packing: PackedSource.Packing =
      recipe.data.packing ? .rows(recipe.batchSize * recipe.sequenceLength) : .samples(recipe.batchSize)
    return try PackedSource(
      samples, packing: packing, seed: UInt64(seed ?? 0), shuffles: seed != nil, name: recipe.data.train[0])
  }

  // MARK: Rows

  private mutating func tokens(
    of paths: [String], isWeighted: Bool, fill: (inout TokenFileWriter) throws -> TrainingData.Statistics
  ) throws -> TokenFile {
    let (file, found) = try cache.tokens(of: paths, isWeighted: isWeighted, fill: fill)
    statistics.add(found)
    digest += file.header.contentDigest + ";"
    return file
  }

  /// Encodes the rows of the files, on all cores, and hands them to `take` in their order.
  private func forEachRow<Encoded: Sendable>(
    _ paths: [String], keys: Set<String>, _ encode: @escaping @Sendable (Record) throws -> Encoded,
    _ take: (Record, Encoded) throws -> Void
  ) throws {
    var left = recipe.data.rows ?? .max
    for path in paths where left > 0 {
      let reader = try RecordReader(path: path, keys: keys)
      let display = progress.start("encoding", total: reader.byteCount)
      let encoder = RowEncoder(reader, limit: left, encode)
      while let rows = try encoder.next() {
        try interruption.check()
        for (record, encoded) in rows {
          try take(record, encoded)
          if !record.continues { left -= 1 }
        }
        display.update(to: reader.bytesRead)
      }
      display.finish()
    }
  }
}
