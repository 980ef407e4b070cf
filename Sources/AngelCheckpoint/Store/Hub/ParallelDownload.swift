import AngelCore
import Synchronization

/// Fetches files in pieces over several connections at once; the first failure ends all of it.
///
/// A connection that breaks, a server that is busy and a link that has run out are tried again from where they stopped. A
/// file whose length, tag or digest is not as announced is fetched anew once, and then is an error.
final class ParallelDownload: Sendable {
  /// One file to fetch.
  struct Item: Sendable {
    let url: String
    /// Its name in messages.
    let label: String
    let part: PartFile
    let digest: ContentDigest?
    /// The tag it was announced with, where there is no digest to compare with.
    let tag: String?
  }

  struct Options: Sendable {
    /// Requests at a time.
    var connections: Int
    /// Larger files are fetched in pieces of this many bytes.
    var pieceSize: Int
    var authorization: String?
  }

  private struct State {
    var failure: (any Error)?
    var files: [File]

    struct File {
      var sha256: String?
      var isBeingRead = false
      /// Whether the server sends whole files only.
      var isWithoutRanges = false
      var restarts = 0
      var wholeStarts = 0
    }
  }

  private enum Job {
    case fetch(Int, PartFile.Ticket)
    case verify(Int)
  }

  let items: [Item]
  let options: Options
  private let patience: Patience
  private let interruption: Interruption
  private let progress: ProgressDisplay
  private let log: Log
  private let describe: @Sendable (HTTPResponseHead, Item) -> any Error
  private let state: Mutex<State>

  /// - Parameter describe: the error for an answer that trying again will not change.
  init(
    _ items: [Item], _ options: Options, patience: Patience, interruption: Interruption, progress: ProgressDisplay,
    log: Log, describe: @escaping @Sendable (HTTPResponseHead, Item) -> any Error
  ) {
    self.items = items
    self.options = options
    self.patience = patience
    self.interruption = interruption
    self.progress = progress
    self.log = log
    self.describe = describe
    state = Mutex(State(files: Array(repeating: .init(), count: items.count)))
  }

  /// Fetches and verifies everything; the files' SHA-256 in order. Throws `StoreError`, `HubError` or `Interrupted`.
  func run() throws -> [String] {
    let pieces = items.reduce(0) { $0 + 1 + $1.part.missing / max(1, options.pieceSize) }
    try DedicatedThread.run(min(options.connections, pieces)) { [self] _ in
      do {
        let session = try HTTPSession(interruption: interruption, patience: patience)
        while let job = next() {
          switch job {
          case .fetch(let index, let ticket): try PieceFetch(self, index, session).run(ticket)
          case .verify(let index): try verify(index)
          }
        }
      } catch {
        state.withLock { if $0.failure == nil { $0.failure = error } }
      }
    }
    return try state.withLock { state in
      if let failure = state.failure { throw failure }
      return state.files.map { $0.sha256 ?? "" }
    }
  }

  /// What to do next; nil when every piece is in someone's hands, who also does what comes after it.
  private func next() -> Job? {
    state.withLock { state in
      guard state.failure == nil else { return nil }
      for (index, item) in items.enumerated() where state.files[index].sha256 == nil {
        if state.files[index].isBeingRead { continue }
        if let ticket = item.part.take() { return .fetch(index, ticket) }
        if item.part.missing == 0 {
          state.files[index].isBeingRead = true
          return .verify(index)
        }
      }
      return nil
    }
  }

  private func verify(_ index: Int) throws {
    let item = items[index]
    let found = try ContentDigest.read(item.part.path, for: item.digest, interruption: interruption) { self.isStopped }
    state.withLock { $0.files[index].isBeingRead = false }
    guard item.digest == nil || found.actual == item.digest else {
      return try startAgain(
        index,
        because: StoreError.digestMismatch(
          file: item.label, expected: item.digest?.text ?? "", actual: found.actual.text))
    }
    try item.part.synchronize()
    state.withLock { $0.files[index].sha256 = found.sha256 }
  }

  // MARK: For the pieces

  /// Whether something has failed, so that nothing more needs to be fetched.
  var isStopped: Bool { state.withLock { $0.failure != nil } }

  func isWithoutRanges(_ index: Int) -> Bool { state.withLock { $0.files[index].isWithoutRanges } }

  func newAttempts() -> Attempts {
    Attempts(patience) { [self] in
      try interruption.check()
      // The failure that counts has been noted already.
      if isStopped { throw Interrupted() }
    }
  }

  func failure(_ head: HTTPResponseHead, _ index: Int) -> any Error { describe(head, items[index]) }

  func advance(by count: Int) { progress.advance(by: count) }

  /// Fetches a file anew because it is not what it should be; the second time throws `error`.
  func startAgain(_ index: Int, _ ticket: PartFile.Ticket? = nil, because error: any Error) throws {
    let isFirst = try state.withLock { state in
      guard let lost = try items[index].part.restart(pieceSize: pieceSize(state.files[index]), unlessVoid: ticket)
      else { return false }
      progress.advance(by: -lost)
      state.files[index].restarts += 1
      guard state.files[index].restarts == 1 else { throw error }
      return true
    }
    if isFirst { log.warning("\(error); it is fetched anew") }
  }

  /// Notes that the server sends whole files only, and starts this one from its beginning; throws `error` when that has
  /// been tried as often as patience allows.
  func startWhole(_ index: Int, _ ticket: PartFile.Ticket, because error: any Error) throws {
    try state.withLock { state in
      guard let lost = try items[index].part.restart(pieceSize: nil, unlessVoid: ticket) else { return }
      progress.advance(by: -lost)
      state.files[index].isWithoutRanges = true
      state.files[index].wholeStarts += 1
      guard state.files[index].wholeStarts <= max(1, patience.attempts) else { throw error }
    }
  }

  private func pieceSize(_ file: State.File) -> Int? { file.isWithoutRanges ? nil : options.pieceSize }
}
