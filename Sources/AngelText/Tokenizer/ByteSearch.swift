import Glibc

extension UnsafeBufferPointer<UInt8> {
  /// Where `pattern`, which must not be empty, stands first at or after `position`.
  func firstRange(of pattern: UnsafeBufferPointer<UInt8>, from position: Int) -> Range<Int>? {
    guard let base = baseAddress, let wanted = pattern.baseAddress else { return nil }
    var start = position
    while start + pattern.count <= count {
      guard let found = memchr(base + start, Int32(wanted[0]), count - pattern.count + 1 - start) else { return nil }
      start = UnsafeRawPointer(found) - UnsafeRawPointer(base)
      if memcmp(base + start, wanted, pattern.count) == 0 { return start..<(start + pattern.count) }
      start += 1
    }
    return nil
  }

  /// Where the character after the one at `position` starts.
  @inline(__always)
  func characterEnd(after position: Int) -> Int {
    var end = position + 1
    while end < count, self[end] & 0xC0 == 0x80 { end += 1 }
    return end
  }

  /// The character at `position` of valid UTF-8 and where the next one starts.
  @inline(__always)
  func scalar(at position: Int) -> (value: UInt32, end: Int) {
    let first = UInt32(self[position])
    if first < 0x80 { return (first, position + 1) }
    let end = Swift.min(position + (first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4), count)
    var value = first & (first < 0xE0 ? 0x1F : first < 0xF0 ? 0x0F : 0x07)
    for index in (position + 1)..<end { value = value << 6 | UInt32(self[index] & 0x3F) }
    return (value, end)
  }
}
