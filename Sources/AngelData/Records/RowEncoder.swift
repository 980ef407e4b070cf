import AngelCore
import Glibc
import Synchronization

/// Rows of a file encoded some hundreds at a time on all cores; their order stays.
public final class RowEncoder<Encoded: Sendable> {
  private let reader: RecordReader
  private let encode: @Sendable (Record) throws -> Encoded
  /// Rows still wanted; pieces of one text are one row.
  private var left: Int
  private let threadCount: Int

  /// Bytes of rows that are encoded together, enough that starting threads for them costs nothing.
  private static var chunk: Int { 1 << 20 }

  public init(
    _ reader: RecordReader, limit: Int = .max, threads: Int? = nil,
    _ encode: @escaping @Sendable (Record) throws -> Encoded
  ) {
    self.reader = reader
    self.encode = encode
    left = limit
    threadCount = threads ?? sysconf(Int32(_SC_NPROCESSORS_ONLN))
  }

  /// The next rows with what they became; nil after the last. Throws what the first row that fails throws.
  public func next() throws -> [(Record, Encoded)]? {
    var (records, bytes): ([Record], Int) = ([], 0)
    while left > 0, bytes < Self.chunk * threadCount, let record = try reader.next() {
      if !record.continues { left -= 1 }
      bytes += record.byteCount
      records.append(record)
    }
    guard !records.isEmpty else { return nil }
    let (rows, encode) = (records, self.encode)
    let results = Mutex([Result<Encoded, any Error>?](repeating: nil, count: rows.count))
    let place = Atomic<Int>(0)
    @Sendable func work(_: Int) {
      while true {
        let index = place.add(1, ordering: .relaxed).oldValue
        guard index < rows.count else { return }
        let result = Result { try encode(rows[index]) }
        results.withLock { $0[index] = result }
      }
    }
    if threadCount > 1, rows.count > 1 { try DedicatedThread.run(min(threadCount, rows.count), work) } else { work(0) }
    return try zip(rows, results.withLock { $0 }).map { row, result in
      guard let result else { preconditionFailure("a row was not encoded") }
      return (row, try result.get())
    }
  }
}
