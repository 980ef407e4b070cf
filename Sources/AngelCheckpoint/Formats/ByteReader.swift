import AngelCore

/// Reads little-endian values one after the other, never past the end.
struct ByteReader {
  /// The file's first bytes: the whole file, or as much as a header may take.
  let bytes: UnsafeRawBufferPointer
  /// Where the next value starts.
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Bytes not read yet.
  var remaining: Int { bytes.count - position }

  /// The next integer; nil when the bytes end first.
  mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self) -> T? {
    guard remaining >= MemoryLayout<T>.size else { return nil }
    defer { position += MemoryLayout<T>.size }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
  }

  /// The next `count` bytes; nil when there are fewer.
  mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, count <= remaining else { return nil }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  /// The next byte string, which is preceded by its 64-bit length; nil when the bytes end first.
  mutating func byteString() -> UnsafeRawBufferPointer? {
    guard let length = integer(UInt64.self), length <= UInt64(remaining) else { return nil }
    return take(Int(length))
  }

  /// The next `count` byte strings; nil when the bytes end first.
  ///
  /// Two passes, lengths first: appending entry by entry would take most of the time a model needs to open.
  mutating func byteStrings(_ count: Int) -> StringTable? {
    guard let offsets = offsets(ofStrings: count), let total = offsets.last.map(Int.init) else { return nil }
    let start = position
    let texts = [UInt8](unsafeUninitializedCapacity: total) { output, initialized in
      let output = UnsafeMutableRawBufferPointer(output)
      for entry in 0..<count {
        let (target, end) = (Int(offsets[entry]), Int(offsets[entry + 1]))
        let source = start + 8 * (entry + 1) + target
        if end - target <= 16, target + 16 <= total, source + 16 <= bytes.count {
          // One vector for a short entry; what it writes too much the next ones overwrite.
          output.storeBytes(
            of: bytes.loadUnaligned(fromByteOffset: source, as: SIMD16<UInt8>.self), toByteOffset: target,
            as: SIMD16<UInt8>.self)
        } else {
          UnsafeMutableRawBufferPointer(rebasing: output[target..<end])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[source..<source + end - target]))
        }
      }
      initialized = total
    }
    position += 8 * count + total
    return StringTable(bytes: texts, offsets: offsets)
  }

  /// Where each of the next byte strings starts when they stand side by side, and the end of the last.
  private func offsets(ofStrings count: Int) -> [UInt32]? {
    // Positions fit: a header has at most 2^28 bytes.
    guard count >= 0, count <= remaining / 8, bytes.count <= Int(UInt32.max) else { return nil }
    var isWhole = true
    let offsets = [UInt32](unsafeUninitializedCapacity: count + 1) { offsets, initialized in
      var end = position
      offsets.initializeElement(at: 0, to: 0)
      for entry in 0..<count {
        initialized = entry + 1
        guard bytes.count - end >= 8 else {
          isWhole = false
          return
        }
        let length = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self))
        end += 8
        guard length <= UInt64(bytes.count - end) else {
          isWhole = false
          return
        }
        end += Int(length)
        offsets.initializeElement(at: entry + 1, to: UInt32(end - position - 8 * (entry + 1)))
      }
      initialized = count + 1
    }
    return isWhole ? offsets : nil
  }
}
