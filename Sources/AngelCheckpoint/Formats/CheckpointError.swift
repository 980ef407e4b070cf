public import AngelCore

/// Why a model's files could not be opened, read or written.
public enum CheckpointError: DescribedError, Equatable {
  /// The file system refused.
  case file(FileError)
  /// A file breaks its format's rules; `offset` is the byte where that showed, where one is known.
  case damaged(path: String, format: String, reason: String, offset: Int? = nil)
  /// A file is sound, but of a kind this version does not read.
  case unsupported(path: String, reason: String)
  /// A path holds no model, or more than one.
  case notACheckpoint(path: String, reason: String)
  /// A tensor that the model needs is not in its files.
  case missingTensor(name: String, path: String, similar: [String])
  /// A tensor whose element type this version cannot compute with.
  case unsupportedTensor(name: String, type: String, path: String, supported: [String])
  /// A tensor that cannot be written as asked.
  case invalidTensor(name: String, path: String, reason: String)
  /// The tokenizer's part of the files is wrong or not supported.
  case tokenizer(path: String, reason: String)

  public var description: String {
    switch self {
    case .file(let error): error.description
    case .damaged(let path, let format, let reason, let offset):
      "'\(path)' is not a sound \(format) file: \(reason)" + (offset.map { " (at byte \($0))" } ?? "")
        + "; fetch it again"
    case .unsupported(let path, let reason): "'\(path)' is not supported: \(reason)"
    case .notACheckpoint(let path, let reason): "no model at '\(path)': \(reason)"
    case .missingTensor(let name, let path, let similar):
      "no tensor \(quoted(name)) in '\(path)'"
        + (similar.isEmpty ? "" : "; the nearest names are " + similar.map(quoted).joined(separator: ", "))
    case .unsupportedTensor(let name, let type, let path, let supported):
      "tensor \(quoted(name)) of '\(path)' has type \(type), which is not supported; supported: "
        + supported.joined(separator: ", ")
    case .invalidTensor(let name, let path, let reason): "cannot write tensor \(quoted(name)) to '\(path)': \(reason)"
    case .tokenizer(let path, let reason): "'\(path)': \(reason)"
    }
  }
}

/// The result of an operation on files; what the file system refused becomes an error of this module.
func accessing<Result>(_ operation: @autoclosure () throws(FileError) -> Result) throws(CheckpointError) -> Result {
  do { return try operation() } catch { throw .file(error) }
}
