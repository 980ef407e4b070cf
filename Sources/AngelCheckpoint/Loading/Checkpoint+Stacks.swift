import AngelCore

extension Checkpoint {
  /// The tensor at `place` as a parameter of `shape` sees it: of a stack, the entry's own matrix; of a tensor that several
  /// parameters share, the own rows. What is held transposed stays whole, since its share is not one piece.
  func record(at place: TensorPlace, shape: Shape) throws(CheckpointError) -> TensorRecord {
    let whole = try tensor(place.name)
    let expected = place.form.fileShape(of: shape)
    guard let entry = place.entry else {
      guard whole.shape == expected else { throw misshapen(whole, expected: "\(expected)") }
      guard !place.form.isTransposed, expected != shape else { return whole }
      return try rows(from: place.form.firstRow(of: shape), of: expected[0], whole, shape)
    }
    guard whole.shape.rank == shape.rank + 1, Shape(Array(whole.shape.array.dropFirst())) == expected,
      entry < whole.shape[0]
    else { throw misshapen(whole, expected: "entries of \(expected), \(entry + 1) or more") }
    return try rows(
      from: entry * expected[0] + place.form.firstRow(of: shape), of: whole.shape[0] * expected[0], whole, shape)
  }

  /// The rows of a parameter of `shape` from `first` on, of `total`.
  private func rows(
    from first: Int, of total: Int, _ whole: TensorRecord, _ shape: Shape
  ) throws(CheckpointError) -> TensorRecord {
    guard total > 0, whole.byteRange.count % total == 0 else { throw misshapen(whole, expected: "\(total) rows") }
    let rowBytes = whole.byteRange.count / total
    let start = whole.byteRange.lowerBound + first * rowBytes
    return TensorRecord(
      name: whole.name, dtype: whole.dtype, shape: shape, content: whole.content,
      byteRange: start..<(start + shape[0] * rowBytes))
  }

  private func misshapen(_ record: TensorRecord, expected: String) -> CheckpointError {
    .damaged(
      path: path, format: "checkpoint",
      reason: "tensor '\(record.name)' has shape \(record.shape), the configuration asks for \(expected)")
  }
}
