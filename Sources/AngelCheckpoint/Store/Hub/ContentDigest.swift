import AngelCore

/// What a file's content must digest to.
enum ContentDigest: Hashable, Sendable {
  /// SHA-256 of the bytes, as hubs give for large files.
  case sha256(String)
  /// SHA-1 of git's blob object (`blob <size>`, a zero byte, the bytes), as hubs give for small files.
  case gitBlob(String)

  /// From 64 or 40 lower-case hexadecimal digits; nil for any other text.
  init?(tag: String) {
    if HubModel.isHexadecimal(tag, count: 64) {
      self = .sha256(tag)
    } else if HubModel.isHexadecimal(tag, count: 40) {
      self = .gitBlob(tag)
    } else {
      return nil
    }
  }

  /// The hexadecimal digits.
  var text: String {
    switch self {
    case .sha256(let digits), .gitBlob(let digits): digits
    }
  }

  /// Reads a file once; its SHA-256, and its digest of this digest's kind. Throws `StoreError` or `Interrupted`.
  static func read(
    _ path: String, for expected: ContentDigest?, interruption: Interruption, isCancelled: () -> Bool
  ) throws -> (sha256: String, actual: ContentDigest) {
    let file = try OpenFile(reading: path)
    var wide = SHA256()
    var narrow: SHA1?
    if case .gitBlob = expected {
      var hash = SHA1()
      Array("blob \(try file.size)\0".utf8).withUnsafeBytes { hash.update($0) }
      narrow = hash
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { buffer.deallocate() }
    var offset = 0
    while case let count = try file.read(at: offset, into: buffer), count > 0 {
      try interruption.check()
      if isCancelled() { throw Interrupted() }
      let part = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      wide.update(part)
      narrow?.update(part)
      offset += count
    }
    let sha256 = wide.hexadecimal()
    return (sha256, (narrow?.hexadecimal()).map { .gitBlob($0) } ?? .sha256(sha256))
  }
}
