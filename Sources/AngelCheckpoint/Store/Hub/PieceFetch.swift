import AngelCore

/// Fetches one piece of a file, over as many requests as it takes.
struct PieceFetch {
  private let download: ParallelDownload
  private let index: Int
  private let session: HTTPSession

  private var item: ParallelDownload.Item { download.items[index] }

  init(_ download: ParallelDownload, _ index: Int, _ session: HTTPSession) {
    self.download = download
    self.index = index
    self.session = session
  }

  /// Why an answer's body is not taken.
  private enum Refusal: Error {
    /// The server sends the whole file where a range was asked for.
    case whole
    /// The file is not the one that was announced.
    case different(any Error)
    /// The answer cannot be used; another may be.
    case unusable(String)
    /// The piece has been started anew by somebody else.
    case void
  }

  /// Fetches what the ticket stands for. Throws `StoreError`, `HubError` or `Interrupted`.
  func run(_ first: PartFile.Ticket) throws {
    var ticket = first
    defer { item.part.giveBack(first) }
    var attempts = download.newAttempts()
    while ticket.position < ticket.end, !download.isStopped, !item.part.isVoid(ticket) {
      if download.isWithoutRanges(index), ticket.position > 0 {
        // What came before a cut cannot be continued; whoever is free takes the file up from its start.
        return try download.startWhole(
          index, ticket, because: failure("the server cuts the connection and cannot continue"))
      }
      let before = ticket.position
      do {
        let outcome = try request(&ticket)
        if ticket.position == ticket.end { return }
        let hasProgress = ticket.position > before && !download.isWithoutRanges(index)
        try settle(outcome, hasProgress: hasProgress, ticket, &attempts)
      } catch Refusal.whole {
        return try download.startWhole(index, ticket, because: failure("the server cannot send parts of the file"))
      } catch Refusal.different(let error) {
        return try download.startAgain(index, ticket, because: error)
      } catch Refusal.unusable(let reason) {
        try attempts.pause(after: failure(reason))
      } catch Refusal.void {
        return
      }
    }
  }

  /// One request for the rest of the piece.
  private func request(_ ticket: inout PartFile.Ticket) throws -> HTTPSession.Outcome {
    let isWhole = ticket.isWhole && ticket.position == 0
    var request = HTTPRequest(url: item.url)
    request.authorization = download.options.authorization
    if !isWhole { request.range = "\(ticket.position)-\(ticket.end - 1)" }
    var current = ticket
    defer { ticket = current }
    return try withoutActuallyEscaping({ try check($0, current, isWhole: isWhole) }) { begin in
      try session.send(
        request,
        HTTPSession.Receiver(
          begin: begin, take: { try take($0, &current) },
          isCancelled: { download.isStopped || item.part.isVoid(current) }))
    }
  }

  /// Whether a successful answer is about the file and the range that were asked for.
  private func check(_ head: HTTPResponseHead, _ ticket: PartFile.Ticket, isWhole: Bool) throws {
    if let tag = head.contentTag {
      // A mirror's own tags are no digests; a digest of another kind cannot be compared.
      let isOther: Bool =
        switch (item.digest, ContentDigest(tag: tag)) {
        case (.sha256(let known), .sha256(let given)), (.gitBlob(let known), .gitBlob(let given)): known != given
        case (nil, _): item.tag != nil && item.tag != tag
        default: false
        }
      if isOther { throw Refusal.different(HubError.changing(path: item.label)) }
    }
    switch head.status {
    case 200 where !isWhole: throw Refusal.whole
    case 200, 206: break
    default: throw Refusal.unusable("the server answered \(head.status)")
    }
    if head.status == 206, head.rangeStart != ticket.position {
      throw Refusal.unusable("the server sent another range than the one asked for")
    }
    if let size = head.size, size != item.part.size {
      throw Refusal.different(StoreError.sizeMismatch(file: item.label, expected: item.part.size, actual: size))
    }
  }

  private func take(_ bytes: UnsafeRawBufferPointer, _ ticket: inout PartFile.Ticket) throws {
    guard bytes.count <= ticket.end - ticket.position else {
      throw Refusal.unusable("the server sent more than the range asked for")
    }
    guard try item.part.write(bytes, &ticket) else { throw Refusal.void }
    download.advance(by: bytes.count)
  }

  /// Waits, or throws, after a request that did not finish the piece.
  private func settle(
    _ outcome: HTTPSession.Outcome, hasProgress: Bool, _ ticket: PartFile.Ticket, _ attempts: inout Attempts
  ) throws {
    switch outcome {
    case .cancelled: return
    case .interrupted(_, let reason), .unreachable(let reason):
      try attempts.pause(after: failure(reason), hasProgress: hasProgress)
    case .answered(let head):
      switch head.status {
      case 200..<300:
        try attempts.pause(
          after: failure("it ends at byte \(ticket.position) of \(item.part.size)"), hasProgress: hasProgress)
      case 416:
        let error = failure("the server does not have bytes \(ticket.position) to \(ticket.end)")
        try download.startAgain(index, ticket, because: error)
      case let status where Attempts.isTransient(status):
        try attempts.pause(
          after: StoreError.httpStatus(url: ModelPull.withoutCredentials(item.url), status: status), head: head)
      // A link that the hub had signed is good for a while only; the hub gives a new one.
      case 403 where !head.isFromOrigin: try attempts.pause(after: download.failure(head, index))
      default: throw download.failure(head, index)
      }
    }
  }

  private func failure(_ reason: String) -> StoreError {
    .transfer(url: ModelPull.withoutCredentials(item.url), reason: reason)
  }
}
