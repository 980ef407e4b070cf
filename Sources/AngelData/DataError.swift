public import AngelCore

/// Why data could not be read or used; every case names the place, the value and the remedy.
public enum DataError: DescribedError, Equatable {
  /// The file system refused.
  case file(FileError)
  /// A row breaks the rules of its format.
  case row(place: String, reason: String)
  /// A file is of a kind that is not read, or holds nothing to train on.
  case unusable(path: String, reason: String)
  /// A token file is not what it says it is.
  case damaged(path: String, reason: String)

  public var description: String {
    switch self {
    case .file(let error): error.description
    case .row(let place, let reason): "\(place): \(reason)"
    case .unusable(let path, let reason): "'\(path)': \(reason)"
    case .damaged(let path, let reason): "'\(path)' is not a sound token file: \(reason); make it again"
    }
  }
}

/// The result of an operation on files; what the file system refused becomes an error of this module.
func accessing<Result>(_ operation: @autoclosure () throws(FileError) -> Result) throws(DataError) -> Result {
  do { return try operation() } catch { throw .file(error) }
}
