import CZlib

/// Gzip members one after the other (RFC 1952).
enum Gzip {
  private static let chunk = 1 << 20

  static func unpacked(_ packed: UnsafeRawBufferPointer, limit: Int) throws(PackedError) -> [UInt8] {
    var stream = z_stream()
    // 32 above the window: the header says whether it is gzip or zlib.
    guard inflateInit2_(&stream, 15 + 32, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw .damaged("zlib cannot begin")
    }
    defer { inflateEnd(&stream) }
    var output: [UInt8] = []
    var (taken, isInside, isFull) = (0, false, false)
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 64)
    defer { piece.deallocate() }
    while taken < packed.count || isInside {
      let count = min(packed.count - taken, chunk)
      // What has been read may be more than the last piece could take.
      guard count > 0 || isFull else { throw .damaged("it ends too early") }
      stream.next_in = UnsafeMutableRawPointer(mutating: packed.baseAddress.map { $0 + taken })?
        .assumingMemoryBound(to: UInt8.self)
      stream.avail_in = UInt32(count)
      stream.next_out = piece.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.avail_out = UInt32(chunk)
      let status = inflate(&stream, Z_NO_FLUSH)
      guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
        throw .damaged(stream.msg.map { String(cString: $0) } ?? "zlib says \(status)")
      }
      let (read, made) = (count - Int(stream.avail_in), chunk - Int(stream.avail_out))
      guard read > 0 || made > 0 else { throw .damaged("it ends too early") }
      taken += read
      guard output.count + made <= limit else { throw .tooLarge }
      output += piece[..<made]
      isFull = made == chunk
      isInside = status != Z_STREAM_END
      // Another member may follow.
      if status == Z_STREAM_END, taken < packed.count { inflateReset(&stream) }
    }
    return output
  }
}
