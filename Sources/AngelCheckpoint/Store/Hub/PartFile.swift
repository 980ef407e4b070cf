import AngelCore
import Glibc
import Synchronization

/// A file of known size that arrives in pieces, several at a time, and survives the end of the process at any moment.
///
/// Beside the part lies a journal: a line of JSON that says which content the part belongs to, padded to a fixed length,
/// then one 64-bit number a piece, the bytes it has. Bytes are written before their number, so after a `kill -9` nothing
/// counts that is not there, and at most one write of each connection is fetched again. After a power failure the disk may
/// lack what the journal counts: the digest of the whole file finds out.
final class PartFile: Sendable {
  /// The right to write one piece; void once the part has been restarted.
  struct Ticket {
    fileprivate let piece: Int
    fileprivate let generation: Int
    /// Where the next byte goes, and where the piece ends.
    fileprivate(set) var position: Int
    let end: Int
    /// Whether the piece is the whole file, so that no range needs to be asked for.
    let isWhole: Bool
  }

  private struct State {
    var pieces: [(range: Range<Int>, received: Int, isTaken: Bool)]
    /// Goes up with each restart.
    var generation = 0
  }

  let path: String
  let size: Int
  private let identity: String
  private let file: OpenFile
  private let journal: OpenFile
  private let state: Mutex<State>
  private static let headerLength = 512

  /// Opens the part at `path`, continued where its journal is of the same content, else empty.
  ///
  /// - Parameter identity: names the content: its digest, else what the server has to say.
  init(_ path: String, identity: String, size: Int, pieceSize: Int) throws(StoreError) {
    self.path = path
    self.size = size
    self.identity = identity
    file = try OpenFile(updating: path)
    journal = try OpenFile(updating: path + ".journal")
    let found = try Self.read(journal, identity: identity, size: size)
    let isSound = try file.size == size
    state = Mutex(State(pieces: Self.pieces(of: size, each: found?.pieceSize ?? pieceSize)))
    if let found, isSound {
      state.withLock { state in
        for (index, count) in found.received.enumerated() where index < state.pieces.count {
          state.pieces[index].received = min(count, state.pieces[index].range.count)
        }
      }
    } else {
      try restart(pieceSize: pieceSize)
    }
  }

  private static func pieces(of size: Int, each pieceSize: Int) -> [(range: Range<Int>, received: Int, isTaken: Bool)] {
    stride(from: 0, to: size, by: max(1, pieceSize)).map {
      ($0..<min(size, $0 + max(1, pieceSize)), 0, false)
    }
  }

  /// Bytes that have yet to arrive.
  var missing: Int { state.withLock { size - $0.pieces.reduce(0) { $0 + $1.received } } }

  /// Gives out an unfinished piece that nobody writes; nil when there is none.
  func take() -> Ticket? {
    state.withLock { state in
      guard let index = state.pieces.firstIndex(where: { !$0.isTaken && $0.received < $0.range.count }) else {
        return nil
      }
      state.pieces[index].isTaken = true
      let piece = state.pieces[index]
      return Ticket(
        piece: index, generation: state.generation, position: piece.range.lowerBound + piece.received,
        end: piece.range.upperBound, isWhole: state.pieces.count == 1)
    }
  }

  /// Takes a piece back, finished or not.
  func giveBack(_ ticket: Ticket) {
    state.withLock { if $0.generation == ticket.generation { $0.pieces[ticket.piece].isTaken = false } }
  }

  func isVoid(_ ticket: Ticket) -> Bool { state.withLock { $0.generation != ticket.generation } }

  /// Writes the next bytes of a piece; false when the part has been restarted since. The caller keeps within the piece.
  func write(_ bytes: UnsafeRawBufferPointer, _ ticket: inout Ticket) throws(StoreError) -> Bool {
    let (generation, piece, position) = (ticket.generation, ticket.piece, ticket.position)
    precondition(bytes.count <= ticket.end - position, "\(bytes.count) bytes at \(position) of \(ticket.end)")
    // Under the lock, so that no bytes of an older version land after a restart; the write goes to memory and is short.
    var failure: StoreError?
    let isCurrent = state.withLock { state in
      guard state.generation == generation else { return false }
      do throws(StoreError) {
        try file.write(bytes, at: position)
        state.pieces[piece].received += bytes.count
        try record(state.pieces[piece].received, of: piece)
      } catch { failure = error }
      return true
    }
    if let failure { throw failure }
    if isCurrent { ticket.position += bytes.count }
    return isCurrent
  }

  /// Forgets all that has arrived and gives out new pieces; tickets out now are void. `pieceSize` nil means one piece.
  ///
  /// - Parameter ticket: whose holder found a reason; nothing happens when somebody else was first.
  /// - Returns: the bytes that were forgotten; nil when nothing happened.
  @discardableResult
  func restart(pieceSize: Int?, unlessVoid ticket: Ticket? = nil) throws(StoreError) -> Int? {
    var failure: StoreError?
    let forgotten = state.withLock { state -> Int? in
      if let ticket, ticket.generation != state.generation { return nil }
      let forgotten = state.pieces.reduce(0) { $0 + $1.received }
      state.generation += 1
      let pieceSize = pieceSize ?? max(1, size)
      state.pieces = Self.pieces(of: size, each: pieceSize)
      do throws(StoreError) {
        // The journal first: what it does not count does not matter.
        try journal.setSize(0)
        try file.setSize(0)
        try file.setSize(size)
        var header = JSONObject([("content", .string(identity))])
        header["size"] = .integer(size)
        header["piece"] = .integer(pieceSize)
        var line = Array(JSONValue.object(header).encoded().utf8)
        line += [UInt8](repeating: 0x20, count: max(0, Self.headerLength - 1 - line.count)) + [0x0A]
        try line.withUnsafeBytesThrowing { bytes throws(StoreError) in try journal.write(bytes, at: 0) }
      } catch { failure = error }
      return forgotten
    }
    if let failure { throw failure }
    return forgotten
  }

  /// Makes the bytes durable before the file gets its name.
  func synchronize() throws(StoreError) { try file.synchronize() }

  private func record(_ count: Int, of piece: Int) throws(StoreError) {
    let number = (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
    try number.withUnsafeBytesThrowing { bytes throws(StoreError) in
      try journal.write(bytes, at: Self.headerLength + 8 * piece)
    }
  }

  /// What a journal says, nil when it is of another content or cannot be understood.
  private static func read(
    _ journal: borrowing OpenFile, identity: String, size: Int
  ) throws(StoreError) -> (pieceSize: Int, received: [Int])? {
    let length = try journal.size
    // More pieces than this no part has; it bounds memory.
    guard length >= headerLength, length <= headerLength + 8 << 20 else { return nil }
    let bytes = try journal.bytes(at: 0, count: length)
    guard let header = try? JSONValue(parsing: bytes[..<headerLength]), header["content"]?.string == identity,
      header["size"]?.integer == size, let pieceSize = header["piece"]?.integer, pieceSize > 0,
      size / pieceSize <= 1 << 20
    else { return nil }
    let numbers = stride(from: headerLength, to: length - 7, by: 8).map {
      Int(clamping: bytes.littleEndian64($0))
    }
    return (pieceSize, numbers)
  }
}
