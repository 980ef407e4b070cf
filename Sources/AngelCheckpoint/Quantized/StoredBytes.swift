import AngelCore

/// A tensor as a safetensors file holds it, of any type, also of those that are not computed with.
struct StoredBytes: Sendable {
  let name: String
  /// The type as the file names it, such as `I32` or `F8_E4M3`.
  let typeName: String
  let shape: Shape
  let file: MappedFile
  /// The bytes in `file`: inside it, but of types that are not computed with maybe not as many as the shape says.
  let range: Range<Int>

  /// The bytes, valid while `file` lives.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.unsafeBytes[range]) }

  /// Calls `body` with the bytes.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    withExtendedLifetime(file) { body(bytes) }
  }
}
