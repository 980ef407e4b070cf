import Glibc

/// Why a file could not be opened, read or written.
public enum FileError: DescribedError, Equatable {
  /// The system refused an operation on a file; `reason` is its message.
  case system(operation: String, path: String, reason: String)
  /// There is no room for a file.
  case diskFull(path: String, wanted: Int, free: Int)

  public var description: String {
    switch self {
    case .system(let operation, let path, let reason): "cannot \(operation) '\(path)': \(reason)"
    case .diskFull(let path, let wanted, let free):
      "no room for '\(path)': \(wanted) bytes wanted, \(free) free; free some space or choose another folder"
    }
  }

  /// The error of the C library's last call.
  public static func lastSystemError(_ operation: String, _ path: String) -> FileError {
    .system(operation: operation, path: path, reason: String(cString: strerror(errno)))
  }
}
