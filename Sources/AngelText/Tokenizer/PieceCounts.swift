import AngelCore

/// Distinct pieces of a corpus and how often each came: open addressing over one table of bytes.
struct PieceCounts: Sendable {
  private(set) var pieces = StringTable()
  private(set) var counts: [Int] = []
  /// Zero where empty; else a piece's number plus one, and above it half of its hash, so that few misses read bytes.
  private var slots = [UInt64](repeating: 0, count: 1 << 12)
  private let hash = ByteHash()

  /// Counts one more of `piece`; throws when pieces are too many to be numbered.
  mutating func add(_ piece: UnsafeBufferPointer<UInt8>) throws(TokenizerError) {
    if 2 * counts.count >= slots.count { grow() }
    let value = hash(piece)
    let slot = pieces.withEntries { position(of: piece, value, $0) }
    guard slots[slot] == 0 else {
      counts[Int(slots[slot] & 0xFFFF_FFFF) - 1] += 1
      return
    }
    guard pieces.bytes.count + piece.count <= Int(UInt32.max) else {
      throw .invalid(field: "corpus", reason: "its distinct pieces have more than 4 GiB; train on a part of it")
    }
    pieces.append(piece)
    counts.append(1)
    slots[slot] = (value & ~0xFFFF_FFFF) | UInt64(counts.count)
  }

  private mutating func grow() {
    slots = [UInt64](repeating: 0, count: 2 * slots.count)
    pieces.withEntries { entries in
      for piece in 0..<entries.count {
        let value = hash(entries[piece])
        slots[position(of: entries[piece], value, entries)] = (value & ~0xFFFF_FFFF) | UInt64(piece + 1)
      }
    }
  }

  /// The slot that holds `piece` or the empty one where it would go; slots are never more than half full.
  @inline(__always)
  private func position(of piece: UnsafeBufferPointer<UInt8>, _ value: UInt64, _ entries: EntryView) -> Int {
    slots.withUnsafeBufferPointer { slots in
      let mask = slots.count - 1
      var slot = Int(truncatingIfNeeded: value) & mask
      while slots[slot] != 0 {
        if slots[slot] >> 32 == value >> 32, entries[Int(slots[slot] & 0xFFFF_FFFF) - 1].isEqual(to: piece) { break }
        slot = (slot + 1) & mask
      }
      return slot
    }
  }
}
