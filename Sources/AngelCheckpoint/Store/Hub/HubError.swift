import AngelCore

/// Why a model of a hub could not be had.
enum HubError: DescribedError, Equatable {
  case invalidName(String, reason: String)
  case invalidEndpoint(String)
  /// The text is where the token came from, never the token.
  case invalidToken(source: String)
  case offline(String)
  /// The model's owner wants to be asked first.
  case gated(repository: String, page: String, hasToken: Bool, message: String)
  /// Missing, or private: a hub does not tell which.
  case noRepository(String, hasToken: Bool)
  case noRevision(repository: String, revision: String)
  case noFile(repository: String, path: String)
  case tokenRefused(repository: String, source: String)
  case refused(repository: String, status: Int, message: String)
  case invalidAnswer(repository: String, reason: String)
  case unsafeFile(repository: String, path: String, reason: String)
  case nothingUsable(repository: String, reason: String)
  case noMatch(repository: String, pattern: String, available: String)
  case changing(path: String)

  var description: String {
    switch self {
    case .invalidName(let source, let reason):
      "cannot pull '\(source)': \(reason); the form is hf:organisation/name[@revision][:pattern]"
    case .invalidEndpoint(let address):
      "HF_ENDPOINT is '\(address)', which is no http or https address: set it to a hub's, or unset it"
    case .invalidToken(let source):
      "the token in \(source) has characters that no token has: set it to the one from the hub's settings page"
    case .offline(let source):
      "'\(source)' is not in the store and HF_HUB_OFFLINE is set: unset it, or pull a path to the model's files"
    case .gated(let repository, let page, let hasToken, let message):
      "'\(repository)' is gated: ask for access at \(page)"
        + (hasToken ? " with the account that the token belongs to" : ", then set HF_TOKEN to a token of your account")
        + Self.said(message)
    case .noRepository(let repository, let hasToken):
      "'\(repository)' is not on the hub, or it is private: check the name"
        + (hasToken ? ", and that the token may read it" : ", or set HF_TOKEN to a token that may read it")
    case .noRevision(let repository, let revision):
      "'\(repository)' has no revision '\(revision)': give a branch, a tag or a commit after the @"
    case .noFile(let repository, let path): "'\(repository)' no longer has '\(path)': pull it again"
    case .tokenRefused(let repository, let source):
      "the hub does not accept the token in \(source) for '\(repository)': renew or unset it"
    case .refused(let repository, let status, let message):
      "the hub answered \(status) for '\(repository)'" + (status == 403 ? ": the token may not read it" : "")
        + Self.said(message)
    case .invalidAnswer(let repository, let reason):
      "the hub's answer about '\(repository)' is not as expected: \(reason); is HF_ENDPOINT a model hub?"
    case .unsafeFile(let repository, let path, let reason):
      "'\(repository)' has a file '\(path)' that is refused: \(reason)"
    case .nothingUsable(let repository, let reason): "'\(repository)' cannot be used: \(reason)"
    case .noMatch(let repository, let pattern, let available):
      "':\(pattern)' does not choose one model of '\(repository)': \(available)"
    case .changing(let path): "'\(path)' keeps changing on the server while it is fetched: try again later"
    }
  }

  private static func said(_ message: String) -> String { message.isEmpty ? "" : " (the hub says: \(message))" }
}
