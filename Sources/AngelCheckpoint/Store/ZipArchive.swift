public import AngelCore
import CZlib

/// Reads the members of a zip archive (PKWARE APPNOTE 6.3: stored and deflated members, zip64).
///
/// Every offset and size is checked against the archive's length before it is used, and names that would leave the
/// folder they are extracted to are refused. Memory use does not depend on what the archive claims.
public struct ZipArchive: Sendable {
  /// One file in the archive.
  public struct Member: Sendable, Hashable {
    public let name: String
    /// Bytes after decompression, as the directory claims; extraction verifies it.
    public let size: Int
    let compressedSize: Int
    let method: UInt16
    let isEncrypted: Bool
    let checksum: UInt32
    let headerOffset: Int
  }

  /// Where an archive's bytes come from: their count, and a function that fills a buffer from an offset on.
  public struct Source: Sendable {
    public let name: String
    public let size: Int
    let read: @Sendable (_ offset: Int, _ buffer: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int
  }

  /// The members in the order of the directory, folders left out.
  public let members: [Member]
  let source: Source

  /// The member called `name`.
  public subscript(name: String) -> Member? { members.first { $0.name == name } }

  public init(_ source: Source) throws(StoreError) {
    self.source = source
    let directory = try ZipDirectory(source)
    members = try directory.members()
  }

  /// Decompresses a member into `sink`, piece by piece, and verifies its size and checksum.
  ///
  /// Throws `StoreError`, `Interrupted`, or what `sink` throws.
  public func extract(
    _ member: Member, interruption: Interruption, into sink: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let start = try dataOffset(of: member)
    var checksum = crc32(0, nil, 0)
    var produced = 0
    let verifyingSink = { (bytes: UnsafeRawBufferPointer) throws in
      try interruption.check()
      produced += bytes.count
      guard produced <= member.size else { throw self.failure("'\(member.name)' is longer than its directory entry") }
      checksum = crc32(checksum, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt32(bytes.count))
      try sink(bytes)
    }
    switch member.method {
    case 0: try copyStored(from: start, count: member.compressedSize, into: verifyingSink)
    case 8: try inflateRaw(from: start, count: member.compressedSize, into: verifyingSink)
    default: throw failure("'\(member.name)' is compressed by method \(member.method); only 0 and 8 are known")
    }
    guard produced == member.size else {
      throw failure("'\(member.name)' ends after \(produced) of \(member.size) bytes")
    }
    guard UInt32(truncatingIfNeeded: checksum) == member.checksum else {
      throw failure("the checksum of '\(member.name)' is wrong")
    }
  }

  private static let chunk = 256 << 10

  func failure(_ reason: String) -> StoreError { .notAnArchive(file: source.name, reason: reason) }

  /// Where a member's data start: behind its local header, whose lengths may differ from the directory's.
  private func dataOffset(of member: Member) throws(StoreError) -> Int {
    guard !member.isEncrypted else { throw failure("'\(member.name)' is encrypted") }
    let header = try source.bytes(at: member.headerOffset, count: 30)
    guard header.littleEndian32(0) == 0x0403_4B50 else { throw failure("'\(member.name)' has no local header") }
    let start = member.headerOffset + 30 + Int(header.littleEndian16(26)) + Int(header.littleEndian16(28))
    guard start <= source.size, member.compressedSize <= source.size - start else {
      throw failure("'\(member.name)' reaches beyond the end of the file")
    }
    return start
  }

  private func copyStored(from start: Int, count: Int, into sink: (UnsafeRawBufferPointer) throws -> Void) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 16)
    defer { buffer.deallocate() }
    var done = 0
    while done < count {
      let wanted = min(buffer.count, count - done)
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
      guard try source.read(start + done, part) == wanted else { throw failure("the file became shorter") }
      try sink(UnsafeRawBufferPointer(part))
      done += wanted
    }
  }

  private func inflateRaw(from start: Int, count: Int, into sink: (UnsafeRawBufferPointer) throws -> Void) throws {
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 16)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 16)
    defer {
      input.deallocate()
      output.deallocate()
    }
    var stream = z_stream()
    // Negative window bits: raw deflate data without zlib's own header.
    guard inflateInit2_(&stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw failure("zlib could not start")
    }
    defer { inflateEnd(&stream) }
    var consumed = 0
    while true {
      if stream.avail_in == 0, consumed < count {
        let part = UnsafeMutableRawBufferPointer(rebasing: input[..<min(input.count, count - consumed)])
        guard try source.read(start + consumed, part) == part.count else { throw failure("the file became shorter") }
        consumed += part.count
        stream.next_in = part.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.avail_in = UInt32(part.count)
      }
      stream.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.avail_out = UInt32(output.count)
      let status = inflate(&stream, Z_NO_FLUSH)
      let produced = output.count - Int(stream.avail_out)
      if produced > 0 { try sink(UnsafeRawBufferPointer(rebasing: output[..<produced])) }
      if status == Z_STREAM_END { return }
      guard status == Z_OK, produced > 0 || stream.avail_in > 0 || consumed < count else {
        throw failure("damaged compressed data")
      }
    }
  }
}

extension ZipArchive.Source {
  /// An archive held in memory.
  public init(bytes: [UInt8], name: String = "archive") {
    self.init(name: name, size: bytes.count) { (offset, buffer) throws(StoreError) in
      guard offset >= 0, offset < bytes.count else { return 0 }
      let count = min(buffer.count, bytes.count - offset)
      bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
      return count
    }
  }

  /// An archive on disk; the file stays open as long as the source lives.
  public init(file path: String) throws(StoreError) {
    let file = SharedFile(try OpenFile(reading: path))
    self.init(name: path, size: try file.file.size) { (offset, buffer) throws(StoreError) in
      try file.file.read(at: offset, into: buffer)
    }
  }

  /// Exactly `count` bytes from `offset` on, or an error; callers bound `count` first.
  func bytes(at offset: Int, count: Int) throws(StoreError) -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
      throw .notAnArchive(file: name, reason: "a header lies beyond the end of the file")
    }
    var failure: StoreError?
    let result = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(StoreError) {
        initialized = try read(
          offset, UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
      } catch { failure = error }
    }
    if let failure { throw failure }
    guard result.count == count else { throw .notAnArchive(file: name, reason: "the file became shorter") }
    return result
  }
}

private final class SharedFile: Sendable {
  let file: OpenFile
  init(_ file: consuming OpenFile) { self.file = file }
}
