/// Remembers the tokens of recent short pieces: direct-mapped, bounded, forgetting everything when full.
struct PieceCache: Sendable {
  private struct Entry {
    var hash: UInt64 = 0
    var keyStart: UInt32 = 0
    var tokenStart: UInt32 = 0
    var keyCount: UInt16 = 0
    var tokenCount: UInt16 = 0
  }

  /// Where a piece belongs.
  struct Slot {
    var hash: UInt64
    var index: Int
  }

  private var entries: [Entry] = []
  private var keys: [UInt8] = []
  private var tokens: [Int32] = []
  private let hash = ByteHash()

  private static let entryCount = 1 << 14
  private static let byteLimit = 1 << 19
  private static let longestPiece = 64

  /// The slot of a piece short enough to be remembered.
  mutating func slot(for piece: UnsafeBufferPointer<UInt8>) -> Slot? {
    guard piece.count <= Self.longestPiece else { return nil }
    if entries.isEmpty { entries = Array(repeating: Entry(), count: Self.entryCount) }
    let value = hash(piece)
    return Slot(hash: value, index: Int(truncatingIfNeeded: value >> 17) & (Self.entryCount - 1))
  }

  /// Appends the remembered tokens of `piece`; false if it is not remembered.
  func appendTokens(of piece: UnsafeBufferPointer<UInt8>, at slot: Slot, to output: inout [Int32]) -> Bool {
    let entry = entries[slot.index]
    guard entry.hash == slot.hash, Int(entry.keyCount) == piece.count, !piece.isEmpty else { return false }
    let start = Int(entry.keyStart)
    for index in 0..<piece.count where keys[start + index] != piece[index] { return false }
    for index in Int(entry.tokenStart)..<(Int(entry.tokenStart) + Int(entry.tokenCount)) {
      output.append(tokens[index])
    }
    return true
  }

  /// Remembers the tokens of `piece` in place of what the slot held.
  mutating func store(_ result: ArraySlice<Int32>, of piece: UnsafeBufferPointer<UInt8>, at slot: Slot) {
    if keys.count + piece.count > Self.byteLimit {
      keys.removeAll(keepingCapacity: true)
      tokens.removeAll(keepingCapacity: true)
      entries = Array(repeating: Entry(), count: Self.entryCount)
    }
    entries[slot.index] = Entry(
      hash: slot.hash, keyStart: UInt32(keys.count), tokenStart: UInt32(tokens.count), keyCount: UInt16(piece.count),
      tokenCount: UInt16(result.count))
    keys.append(contentsOf: piece)
    tokens.append(contentsOf: result)
  }
}
