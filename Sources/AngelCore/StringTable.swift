/// Many byte strings in one allocation: entry `i` is `bytes[offsets[i]..<offsets[i + 1]]`.
///
/// Vocabularies have 50,000 to 260,000 entries; as an array of `String` they would cost most of the start-up time.
public struct StringTable: Sendable, Hashable {
  /// The entries' bytes, one after the other.
  public private(set) var bytes: [UInt8] = []
  /// Where each entry starts, and the end of the last: `count + 1` values.
  public private(set) var offsets: [UInt32] = [0]

  public init() {}

  public init(_ entries: some Sequence<String>) {
    for entry in entries { append(entry.utf8) }
  }

  /// Takes over entries that are laid out already; `offsets` ascend from 0 to the number of bytes.
  public init(bytes: [UInt8], offsets: [UInt32]) {
    precondition(
      offsets.first == 0 && offsets.last.map(Int.init) == bytes.count
        && zip(offsets, offsets.dropFirst()).allSatisfy(<=),
      "\(offsets.count) offsets do not ascend from 0 to \(bytes.count)")
    self.bytes = bytes
    self.offsets = offsets
  }

  /// The number of entries.
  public var count: Int { offsets.count - 1 }

  /// The bytes of entry `index`.
  public subscript(index: Int) -> ArraySlice<UInt8> { bytes[Int(offsets[index])..<Int(offsets[index + 1])] }

  /// Entry `index` as text, invalid UTF-8 repaired.
  public func string(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }

  /// Adds an entry.
  public mutating func append(_ entry: some Sequence<UInt8>) {
    // Callers in other modules cannot specialise this; contiguous entries are copied whole instead of byte by byte.
    if entry.withContiguousStorageIfAvailable({ bytes.append(contentsOf: $0) }) == nil {
      bytes.append(contentsOf: entry)
    }
    offsets.append(UInt32(bytes.count))
  }

  /// Makes room for `entries` entries of `byteCount` bytes together.
  public mutating func reserve(entries: Int, byteCount: Int) {
    offsets.reserveCapacity(entries + 1)
    bytes.reserveCapacity(byteCount)
  }
}
