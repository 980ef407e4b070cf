/// How pages are packed.
enum ParquetCodec: Int {
  case none = 0
  case snappy, gzip, lzo, brotli, lz4, zstandard, lz4Raw

  /// The most bytes of a page: writers make them of about a megabyte.
  static let pageLimit = 256 << 20

  init(number: Int) throws(ParquetError) {
    guard let codec = ParquetCodec(rawValue: number) else { throw .damaged("the codec \(number)") }
    switch codec {
    case .lzo, .brotli, .lz4, .lz4Raw:
      throw .unread("compression by \(codec)", "write the file with snappy, zstd, gzip or none")
    case .none, .snappy, .gzip, .zstandard: self = codec
    }
  }

  /// The `size` bytes that `packed` stand for.
  func unpacked(_ packed: ArraySlice<UInt8>, size: Int) throws(ParquetError) -> [UInt8] {
    // Some writers pack nothing to nothing: the values of a page whose values are all missing.
    if size == 0, packed.isEmpty { return [] }
    func unpacked(by unpacker: () throws(PackedError) -> any Unpacker) throws(ParquetError) -> [UInt8] {
      do { return try unpacker().unpacked(packed, size: size) } catch {
        throw .damaged("a page cannot be unpacked: \(error)")
      }
    }
    switch self {
    case .snappy: return try Snappy.unpacked(packed, size: size)
    case .gzip: return try unpacked { () throws(PackedError) in try GzipUnpacker() }
    case .zstandard: return try unpacked { () throws(PackedError) in try ZstandardUnpacker() }
    case .none, .lzo, .brotli, .lz4, .lz4Raw:
      guard packed.count == size else { throw .damaged("a page of \(size) bytes has \(packed.count)") }
      return Array(packed)
    }
  }
}
