import AngelCore

/// Finds the entries of a string table by their bytes: open addressing over entry numbers, no strings.
struct SpellingIndex: Sendable {
  private var slots: [Int32]
  private let hash = ByteHash()

  /// Indexes the entries of `table` that `included` accepts; the first of equal entries wins.
  init(_ table: StringTable, including included: (Int) -> Bool) {
    var capacity = 16
    while capacity < table.count * 2 { capacity *= 2 }
    slots = Array(repeating: -1, count: capacity)
    table.bytes.withUnsafeBufferPointer { bytes in
      for entry in 0..<table.count where included(entry) {
        let key = Self.bytes(of: entry, table, bytes)
        let slot = position(of: key, table, bytes)
        if slots[slot] < 0 { slots[slot] = Int32(entry) }
      }
    }
  }

  /// The entry equal to `key`, or nil.
  func find(_ key: UnsafeBufferPointer<UInt8>, in table: StringTable) -> Int32? {
    table.bytes.withUnsafeBufferPointer { bytes in
      let entry = slots[position(of: key, table, bytes)]
      return entry < 0 ? nil : entry
    }
  }

  /// The entry equal to `key`, or nil.
  func find(_ key: some Sequence<UInt8>, in table: StringTable) -> Int32? {
    Array(key).withUnsafeBufferPointer { find($0, in: table) }
  }

  /// The slot that holds `key` or the empty one where it would go; slots are never more than half full.
  private func position(
    of key: UnsafeBufferPointer<UInt8>, _ table: StringTable, _ bytes: UnsafeBufferPointer<UInt8>
  ) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash(key)) & mask
    while slots[slot] >= 0 {
      let candidate = Self.bytes(of: Int(slots[slot]), table, bytes)
      if candidate.count == key.count, candidate.elementsEqual(key) { return slot }
      slot = (slot + 1) & mask
    }
    return slot
  }

  private static func bytes(
    of entry: Int, _ table: StringTable, _ bytes: UnsafeBufferPointer<UInt8>
  ) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: bytes[Int(table.offsets[entry])..<Int(table.offsets[entry + 1])])
  }
}
