import AngelCore

/// The bytes of a file of rows: mapped where it lies, or unpacked in memory.
final class RecordBytes: Sendable {
  private let file: MappedFile?
  // SAFETY: filled in init, only read after it, freed in deinit.
  private nonisolated(unsafe) let unpacked: UnsafeRawBufferPointer?
  /// The path without the ending of a packing: `rows.jsonl` of `rows.jsonl.gz`.
  let name: String

  init(path: String) throws(DataError) {
    let mapped = try accessing(try MappedFile(path: path))
    guard let (format, name) = PackedFormat.of(path) else {
      (file, unpacked, self.name) = (mapped, nil, path)
      return
    }
    let bytes = try withExtendedLifetime(mapped) { () throws(DataError) in
      try format.unpacked(mapped.unsafeBytes, path: path)
    }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 64)
    memory.copyBytes(from: bytes)
    (file, self.name) = (nil, name)
    unpacked = UnsafeRawBufferPointer(rebasing: memory[..<bytes.count])
  }

  deinit { unpacked?.baseAddress?.deallocate() }

  /// All bytes; valid while this object lives.
  var unsafeBytes: UnsafeRawBufferPointer {
    unpacked ?? file?.unsafeBytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
  }
}
