import CZlib

/// Gzip members one after the other (RFC 1952), or a zlib stream (RFC 1950).
final class GzipUnpacker: Unpacker {
  // zlib keeps a pointer back to this structure, so it must not move.
  private let stream: UnsafeMutablePointer<z_stream>
  private(set) var isComplete = false

  init() throws(PackedError) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 32 above the window: the header says whether it is gzip or zlib.
    guard inflateInit2_(stream, 15 + 32, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      stream.deallocate()
      throw .damaged("zlib cannot begin")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  func unpack(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(PackedError) -> (taken: Int, made: Int) {
    if isComplete {
      guard !input.isEmpty else { return (0, 0) }
      // Another member follows.
      inflateReset(stream)
      isComplete = false
    }
    let (given, room) = (min(input.count, Int(Int32.max)), min(output.count, Int(Int32.max)))
    stream.pointee.next_in = UnsafeMutableRawPointer(mutating: input.baseAddress)?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_in = UInt32(given)
    stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(room)
    let status = inflate(stream, Z_NO_FLUSH)
    guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
      throw .damaged(stream.pointee.msg.map { String(cString: $0) } ?? "zlib says \(status)")
    }
    isComplete = status == Z_STREAM_END
    return (given - Int(stream.pointee.avail_in), room - Int(stream.pointee.avail_out))
  }
}
