import AngelCore

/// The bytes of a token file: mapped, or held in memory where they are few.
enum TokenBytes: Sendable {
  case mapped(MappedFile)
  case held([UInt8])

  var count: Int {
    switch self {
    case .mapped(let file): file.byteCount
    case .held(let bytes): bytes.count
    }
  }

  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    switch self {
    case .mapped(let file): withExtendedLifetime(file) { body(file.unsafeBytes) }
    case .held(let bytes): bytes.withUnsafeBytes(body)
    }
  }

  /// Gives mapped memory back, which is read again where it is asked for.
  func release(_ range: Range<Int>) {
    if case .mapped(let file) = self { file.release(range) }
  }

  func array(_ range: Range<Int>) -> [UInt8] { withBytes { Array($0[range]) } }
}
