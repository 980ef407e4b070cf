import CZstd

/// Zstandard frames one after the other (RFC 8878).
final class ZstandardUnpacker: Unpacker {
  private let context: OpaquePointer
  /// What the frame at hand still wants; 0 at its end.
  private var wanted = 1

  /// The largest window that is held, 128 MiB: what `zstd` itself takes without being asked.
  private static let windowBits: Int32 = 27

  init() throws(PackedError) {
    guard let context = ZSTD_createDCtx() else { throw .damaged("zstd cannot begin") }
    self.context = context
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.windowBits)
  }

  deinit { ZSTD_freeDCtx(context) }

  var isComplete: Bool { wanted == 0 }

  func unpack(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(PackedError) -> (taken: Int, made: Int) {
    // Between frames nothing is left to flush.
    guard !(isComplete && input.isEmpty) else { return (0, 0) }
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    wanted = ZSTD_decompressStream(context, &target, &source)
    guard ZSTD_isError(wanted) == 0 else { throw .damaged(String(cString: ZSTD_getErrorName(wanted))) }
    return (source.pos, target.pos)
  }
}
