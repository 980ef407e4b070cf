import AngelCore
import Glibc

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
  @inline(__always)
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
  /// Which of equal entries is found.
  enum Preference { case first, last }

  /// Zero where empty; else an entry's number plus one, and above it half of its hash, so that few misses read bytes.
  private var slots: [UInt64]
  private let hash = ByteHash()
  /// No entry is longer: longer keys need no look.
  private let longest: Int

  /// Indexes the entries of `table` that `included` accepts.
  init(_ table: StringTable, preferring preference: Preference = .first, including included: (Int) -> Bool) {
    var capacity = 16
    while capacity < table.count * 2 { capacity *= 2 }
    var slots = [UInt64](repeating: 0, count: capacity)
    let hash = hash
    longest = table.withEntries { entries in
      slots.withUnsafeMutableBufferPointer { slots in
        var longest = 0
        for entry in 0..<entries.count where included(entry) {
          let key = entries[entry]
          let value = hash(key)
          let slot = Self.position(of: key, value, slots: UnsafeBufferPointer(slots), entries)
          longest = max(longest, key.count)
          if slots[slot] == 0 || preference == .last {
            slots[slot] = (value & ~0xFFFF_FFFF) | UInt64(UInt32(entry) + 1)
          }
        }
        return longest
      }
    }
    self.slots = slots
  }

  /// The entry equal to `key`, or nil; `entries` are those of the table given to `init`.
  @inline(__always)
  func find(_ key: UnsafeBufferPointer<UInt8>, in entries: EntryView) -> Int32? {
    guard key.count <= longest else { return nil }
    return slots.withUnsafeBufferPointer { slots in
      let slot = slots[Self.position(of: key, hash(key), slots: slots, entries)]
      return slot == 0 ? nil : Int32(truncatingIfNeeded: slot & 0xFFFF_FFFF) - 1
    }
  }

  /// The entry equal to `key`, or nil; `table` is the one given to `init`.
  func find(_ key: some Sequence<UInt8>, in table: StringTable) -> Int32? {
    Array(key).withUnsafeBufferPointer { key in table.withEntries { find(key, in: $0) } }
  }

  /// The slot that holds `key` or the empty one where it would go; slots are never more than half full.
  @inline(__always)
  private static func position(
    of key: UnsafeBufferPointer<UInt8>, _ value: UInt64, slots: UnsafeBufferPointer<UInt64>, _ entries: EntryView
  ) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: value) & mask
    while slots[slot] != 0 {
      if slots[slot] >> 32 == value >> 32 {
        let candidate = entries[Int(slots[slot] & 0xFFFF_FFFF) - 1]
        if candidate.isEqual(to: key) { return slot }
      }
      slot = (slot + 1) & mask
    }
    return slot
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Whether the bytes are the same.
  @inline(__always)
  func isEqual(to other: UnsafeBufferPointer<UInt8>) -> Bool {
    guard count == other.count, let baseAddress, let otherAddress = other.baseAddress else {
      return count == other.count
    }
    let (one, two) = (UnsafeRawPointer(baseAddress), UnsafeRawPointer(otherAddress))
    // Most spellings have up to sixteen bytes: two loads that may overlap cost less than a call.
    if count <= 16 {
      if count >= 8 { return Self.areEqual(one, two, UInt64.self, count) }
      if count >= 4 { return Self.areEqual(one, two, UInt32.self, count) }
      for index in 0..<count where self[index] != other[index] { return false }
      return true
    }
    return memcmp(one, two, count) == 0
  }

  /// Compares the first and the last bytes, as many as the number has; together they are all of them.
  @inline(__always)
  private static func areEqual<Number: FixedWidthInteger & BitwiseCopyable>(
    _ one: UnsafeRawPointer, _ two: UnsafeRawPointer, _: Number.Type, _ count: Int
  ) -> Bool {
    let last = count - MemoryLayout<Number>.size
    return one.loadUnaligned(as: Number.self) == two.loadUnaligned(as: Number.self)
      && one.loadUnaligned(fromByteOffset: last, as: Number.self)
        == two.loadUnaligned(fromByteOffset: last, as: Number.self)
  }
}
