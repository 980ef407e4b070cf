import Glibc

/// A row a line.
struct LineCutter: RowCutter {
  private var scanned = 0

  mutating func next(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(CutError) -> Cut? {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return nil }
    if let end = memchr(base + scanned, CInt(UInt8(ascii: "\n")), bytes.count - scanned) {
      let end = base.distance(to: UnsafeRawPointer(end))
      scanned = 0
      return Cut(row: 0..<end, end: end + 1)
    }
    scanned = bytes.count
    guard isLast else { return nil }
    scanned = 0
    return Cut(row: 0..<bytes.count, end: bytes.count)
  }
}
