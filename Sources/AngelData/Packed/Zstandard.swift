import CZstd

/// Zstandard frames one after the other (RFC 8878).
enum Zstandard {
  static func unpacked(_ packed: UnsafeRawBufferPointer, limit: Int) throws(PackedError) -> [UInt8] {
    guard !packed.isEmpty else { throw .damaged("it is empty") }
    guard let context = ZSTD_createDCtx() else { throw .damaged("zstd cannot begin") }
    defer { ZSTD_freeDCtx(context) }
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: ZSTD_DStreamOutSize(), alignment: 64)
    defer { piece.deallocate() }
    var source = ZSTD_inBuffer(src: packed.baseAddress, size: packed.count, pos: 0)
    var output: [UInt8] = []
    // What the frame still wants, 0 at its end, and whether more than a piece was ready.
    var (wanted, isFull) = (0, false)
    repeat {
      var target = ZSTD_outBuffer(dst: piece.baseAddress, size: piece.count, pos: 0)
      wanted = ZSTD_decompressStream(context, &target, &source)
      guard ZSTD_isError(wanted) == 0 else { throw .damaged(String(cString: ZSTD_getErrorName(wanted))) }
      guard output.count + target.pos <= limit else { throw .tooLarge }
      output += piece[..<target.pos]
      isFull = target.pos == target.size
    } while source.pos < source.size || wanted != 0 && isFull
    guard wanted == 0 else { throw .damaged("it ends too early") }
    return output
  }
}
