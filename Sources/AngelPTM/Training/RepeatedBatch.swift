import AngelData

/// The same batch at every step: for looking into a step, or planning one.
struct RepeatedBatch: BatchSource {
  let batch: TokenBatch

  /// A batch of `rows` trained tokens in sequences of at most `length`.
  static func zeros(rows: Int, length: Int) -> RepeatedBatch {
    var batch = TokenBatch()
    for start in stride(from: 0, to: rows, by: length) {
      batch.append(TokenSample([Int32](repeating: 0, count: min(length, rows - start) + 1)))
    }
    return RepeatedBatch(batch: batch)
  }

  init(batch: TokenBatch) { self.batch = batch }

  var rowLimit: Int { batch.rowCount }
  var batchesPerEpoch: Int { 1 }
  func batch(_ index: Int) throws -> TokenBatch { batch }
}
