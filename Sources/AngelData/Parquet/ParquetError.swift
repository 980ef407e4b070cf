/// Why bytes are no Parquet that is read here; the file's name is added where it is known.
struct ParquetError: Error, Equatable {
  let reason: String

  /// What the file says cannot be.
  static func damaged(_ reason: String) -> ParquetError { ParquetError(reason: "it is not sound Parquet: \(reason)") }
  /// The file may be sound, but uses something that is left out here.
  static func unread(_ what: String, _ remedy: String) -> ParquetError {
    ParquetError(reason: "\(what) is not read; \(remedy)")
  }
}
