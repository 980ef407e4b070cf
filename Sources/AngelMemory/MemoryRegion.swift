/// Plain contiguous memory handed out by a `PagePool`; valid until it is given back to that pool or the pool ends.
///
/// The first byte is 64-byte aligned, and no other region shares a 64-byte line with this one.
// SAFETY: a region is an address and constants; who may write through the address is agreed between its users,
// as with any pointer. The pool itself never reads or writes the bytes.
public struct MemoryRegion: @unchecked Sendable, Hashable {
  /// The first byte.
  public let address: UnsafeMutableRawPointer
  /// Usable bytes, exactly as asked for.
  public let byteCount: Int
  /// Bytes from the base of the arena to `address`.
  public let offset: Int
  /// What the region holds.
  public let kind: MemoryKind
  /// Where the pool keeps this region's record, and which use of that record this is.
  let record: Int32
  let generation: UInt32

  /// The pages the region touches.
  public var pages: Range<PageIndex> {
    let first = offset / Page.byteCount
    let last = (offset + max(byteCount, 1) - 1) / Page.byteCount
    return PageIndex(rawValue: first)..<PageIndex(rawValue: last + 1)
  }

  /// The bytes as a buffer.
  public var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: address, count: byteCount)
  }
}
