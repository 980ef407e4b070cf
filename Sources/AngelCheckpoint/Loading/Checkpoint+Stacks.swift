import AngelCore

extension Checkpoint {
  /// The tensor at `place` as a parameter of `shape` sees it: of a stack, the entry's own matrix; of a tensor that several
  /// parameters share, the own rows. What is held transposed stays whole, since its share is not one piece.
  func record(at place: TensorPlace, shape: Shape) throws(CheckpointError) -> TensorRecord {
    let whole = try tensor(place.name)
    let expected = place.form.fileShape(of: shape)
    guard let entry = place.entry else {
      guard whole.shape == expected else { throw misshapen(whole, expected: "\(expected)") }
      return place.form.isTransposed ? whole : part(place.form.share, of: place.form.shareCount, whole, shape)
    }
    guard whole.shape.rank == shape.rank + 1, Shape(Array(whole.shape.array.dropFirst())) == expected,
      entry < whole.shape[0], whole.byteRange.count % (whole.shape[0] * place.form.shareCount) == 0
    else { throw misshapen(whole, expected: "entries of \(expected), \(entry + 1) or more") }
    return part(
      entry * place.form.shareCount + place.form.share, of: whole.shape[0] * place.form.shareCount, whole, shape)
  }

  /// Part `index` of `count` equal ones along the outermost axis.
  private func part(_ index: Int, of count: Int, _ whole: TensorRecord, _ shape: Shape) -> TensorRecord {
    let byteCount = whole.byteRange.count / count
    let start = whole.byteRange.lowerBound + index * byteCount
    return TensorRecord(
      name: whole.name, dtype: whole.dtype, shape: shape, file: whole.file, byteRange: start..<(start + byteCount))
  }

  private func misshapen(_ record: TensorRecord, expected: String) -> CheckpointError {
    .damaged(
      path: path, format: "checkpoint",
      reason: "tensor '\(record.name)' has shape \(record.shape), the configuration asks for \(expected)")
  }
}
