public import AngelCore

/// Rows spread evenly over a file that is read once from its beginning.
public enum RecordSample {
  /// At most `count` rows of the first `rows`, as far apart as they can be; pieces of one text count as one row, its first.
  ///
  /// Of a file of more than `byteLimit` bytes the beginning is looked at. Memory: twice the rows.
  public static func spread(
    _ path: String, count: Int, rows: Int = .max, keys: Set<String> = [], byteLimit: Int = 1 << 30,
    interruption: Interruption
  ) throws -> [Record] {
    let reader = try RecordReader(path: path, keys: keys)
    // Every stride-th row is kept; the stride doubles when too many are.
    var (kept, stride, index): ([Record], Int, Int) = ([], 1, 0)
    var continuesText = false
    while index < rows, reader.bytesRead <= byteLimit, let record = try reader.next() {
      try interruption.check()
      defer { continuesText = record.continues }
      guard !continuesText else { continue }
      if index % stride == 0 { kept.append(record) }
      index += 1
      guard kept.count == 2 * count else { continue }
      kept = Swift.stride(from: 0, to: kept.count, by: 2).map { kept[$0] }
      stride *= 2
    }
    guard kept.count > count else { return kept }
    return (0..<count).map { kept[$0 * kept.count / count] }
  }
}
