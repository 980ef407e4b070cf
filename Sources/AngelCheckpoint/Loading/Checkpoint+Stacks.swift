import AngelCore

extension Checkpoint {
  /// The tensor at `place` as a parameter of `shape` sees it: of a stack, the entry's own matrix.
  func record(at place: TensorPlace, shape: Shape) throws(CheckpointError) -> TensorRecord {
    let whole = try tensor(place.name)
    guard let entry = place.entry else {
      guard whole.shape == shape else { throw misshapen(whole, expected: "\(shape)") }
      return whole
    }
    let matrix = Shape([place.shareCount * shape[0]] + shape.array.dropFirst())
    guard whole.shape.rank == shape.rank + 1, Shape(Array(whole.shape.array.dropFirst())) == matrix,
      entry < whole.shape[0], whole.byteRange.count % (whole.shape[0] * place.shareCount) == 0
    else { throw misshapen(whole, expected: "entries of \(matrix), \(entry + 1) or more") }
    let byteCount = whole.byteRange.count / (whole.shape[0] * place.shareCount)
    let start = whole.byteRange.lowerBound + (entry * place.shareCount + place.share) * byteCount
    return TensorRecord(
      name: whole.name, dtype: whole.dtype, shape: shape, file: whole.file, byteRange: start..<(start + byteCount))
  }

  private func misshapen(_ record: TensorRecord, expected: String) -> CheckpointError {
    .damaged(
      path: path, format: "checkpoint",
      reason: "tensor '\(record.name)' has shape \(record.shape), the configuration asks for \(expected)")
  }
}
