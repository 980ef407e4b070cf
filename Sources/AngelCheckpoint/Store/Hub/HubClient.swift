import AngelCore

/// Asks a hub about a model. For one thread.
final class HubClient {
  private let settings: HubSettings
  private let reference: HubReference
  private let session: HTTPSession
  private let patience: Patience
  private let interruption: Interruption
  /// A list of files above this size is no model's.
  private static let answerLimit = 64 << 20

  init(_ settings: HubSettings, _ reference: HubReference, patience: Patience, interruption: Interruption) throws {
    self.settings = settings
    self.reference = reference
    self.patience = patience
    self.interruption = interruption
    session = try HTTPSession(interruption: interruption, patience: patience)
  }

  static func authorization(_ settings: HubSettings) -> String? { settings.token.map { "Bearer " + $0 } }

  /// What the hub says about the model. Throws `HubError`, `StoreError` or `Interrupted`.
  func model() throws -> HubModel {
    let url = settings.url(ofModel: reference.repository, revision: reference.revision)
    let (_, body) = try answer(HTTPRequest(url: url)) { failure($0, path: nil) }
    guard let json = try? JSONValue(parsing: body) else {
      throw HubError.invalidAnswer(repository: reference.repository, reason: "it is not JSON")
    }
    return try HubModel(json: json, repository: reference.repository)
  }

  /// The file with its size and digest, asked for where the hub's list did not tell them; the tag where there is no digest.
  func completed(_ file: HubFile, commit: String) throws -> (file: HubFile, tag: String?) {
    guard file.size == nil || file.digest == nil else { return (file, nil) }
    var request = HTTPRequest(url: settings.url(ofFile: file.path, in: reference.repository, commit: commit))
    request.isHeadOnly = true
    let (head, _) = try answer(request) { failure($0, path: file.path) }
    var file = file
    let isLink = (300..<400).contains(head.status)
    file.size = head.hub.linkedSize ?? file.size ?? (isLink ? nil : head.size)
    file.digest = file.digest ?? head.contentTag.flatMap { ContentDigest(tag: $0) }
    return (file, head.contentTag)
  }

  private func answer(
    _ request: HTTPRequest, failure: (HTTPResponseHead) -> HubError
  ) throws -> (HTTPResponseHead, [UInt8]) {
    var request = request
    request.authorization = Self.authorization(settings)
    let label = ModelPull.withoutCredentials(request.url)
    var attempts = Attempts(patience) { [interruption] in try interruption.check() }
    while true {
      var body: [UInt8] = []
      let outcome = try withoutActuallyEscaping({ (bytes: UnsafeRawBufferPointer) throws in
        guard body.count + bytes.count <= Self.answerLimit else {
          throw HubError.invalidAnswer(
            repository: self.reference.repository, reason: "it is longer than \(Self.answerLimit) bytes")
        }
        body += bytes
      }) { try session.send(request, .init(begin: { _ in }, take: $0)) }
      switch outcome {
      case .answered(let head) where (200..<400).contains(head.status): return (head, body)
      case .answered(let head):
        guard Attempts.isTransient(head.status) else { throw failure(head) }
        try attempts.pause(after: StoreError.httpStatus(url: label, status: head.status), head: head)
      case .interrupted(_, let reason): try attempts.pause(after: StoreError.transfer(url: label, reason: reason))
      // A hub that cannot be reached at all is said at once.
      case .unreachable(let reason): throw StoreError.transfer(url: label, reason: reason)
      case .cancelled: throw Interrupted()
      }
    }
  }

  private func failure(_ head: HTTPResponseHead, path: String?) -> HubError {
    Self.failure(head, settings, repository: reference.repository, revision: reference.revision, path: path)
  }

  /// What an answer means that trying again will not change.
  static func failure(
    _ head: HTTPResponseHead, _ settings: HubSettings, repository: String, revision: String, path: String?
  ) -> HubError {
    let hasToken = settings.token != nil
    let message = String((head.hub.errorMessage ?? "").prefix(300))
    switch head.hub.errorCode {
    case "GatedRepo":
      return .gated(repository: repository, page: settings.page(of: repository), hasToken: hasToken, message: message)
    case "RepoNotFound": return .noRepository(repository, hasToken: hasToken)
    case "RevisionNotFound": return .noRevision(repository: repository, revision: revision)
    case "EntryNotFound": return .noFile(repository: repository, path: path ?? "")
    default: break
    }
    switch head.status {
    case 401 where hasToken && (message.hasPrefix("Invalid") || message.contains("expired")):
      return .tokenRefused(repository: repository, source: settings.tokenSource)
    // A hub answers so about what it does not want to admit to have.
    case 401: return .noRepository(repository, hasToken: hasToken)
    case 404:
      guard let path else { return .noRepository(repository, hasToken: hasToken) }
      return .noFile(repository: repository, path: path)
    default: return .refused(repository: repository, status: head.status, message: message)
    }
  }
}
