import AngelCore

/// A string table's entries as pointers, for loops over a whole vocabulary: slices would cost a retain each.
struct EntryView {
  let bytes: UnsafeBufferPointer<UInt8>
  let offsets: UnsafeBufferPointer<UInt32>

  var count: Int { offsets.count - 1 }

  @inline(__always)
  subscript(entry: Int) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: bytes[Int(offsets[entry])..<Int(offsets[entry + 1])])
  }
}

extension StringTable {
  /// Calls `body` with the entries, which are valid only inside it.
  func withEntries<Result, Failure: Error>(_ body: (EntryView) throws(Failure) -> Result) throws(Failure) -> Result {
    try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
      try offsets.withUnsafeBufferPointer { (offsets) throws(Failure) in
        try body(EntryView(bytes: bytes, offsets: offsets))
      }
    }
  }
}

/// Finds the entries of a string table by their bytes: open addressing over entry numbers, no strings.
struct SpellingIndex: Sendable {
  private var slots: [Int32]
  private let hash = ByteHash()

  /// Indexes the entries of `table` that `included` accepts; the first of equal entries wins.
  init(_ table: StringTable, including included: (Int) -> Bool) {
    var capacity = 16
    while capacity < table.count * 2 { capacity *= 2 }
    slots = Array(repeating: -1, count: capacity)
    table.withEntries { entries in
      for entry in 0..<entries.count where included(entry) {
        let slot = position(of: entries[entry], entries)
        if slots[slot] < 0 { slots[slot] = Int32(entry) }
      }
    }
  }

  /// The entry equal to `key`, or nil; `entries` are those of the table given to `init`.
  @inline(__always)
  func find(_ key: UnsafeBufferPointer<UInt8>, in entries: EntryView) -> Int32? {
    let entry = slots[position(of: key, entries)]
    return entry < 0 ? nil : entry
  }

  /// The entry equal to `key`, or nil; `table` is the one given to `init`.
  func find(_ key: some Sequence<UInt8>, in table: StringTable) -> Int32? {
    Array(key).withUnsafeBufferPointer { key in table.withEntries { find(key, in: $0) } }
  }

  /// The slot that holds `key` or the empty one where it would go; slots are never more than half full.
  private func position(of key: UnsafeBufferPointer<UInt8>, _ entries: EntryView) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash(key)) & mask
    while slots[slot] >= 0 {
      let candidate = entries[Int(slots[slot])]
      if candidate.count == key.count, candidate.elementsEqual(key) { return slot }
      slot = (slot + 1) & mask
    }
    return slot
  }
}
