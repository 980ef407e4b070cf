public import AngelCore

/// A safetensors file: named tensors behind a JSON header, memory mapped.
///
/// Format: the README of the `safetensors` project. Its rules are enforced: tensors fill the data exactly, without overlaps,
/// holes or trailing bytes.
public struct SafetensorsFile: Sendable {
  /// The mapped file.
  public let file: MappedFile
  /// What stands before the tensors' bytes.
  public let header: SafetensorsHeader

  /// Opens and checks the file at `path`.
  public init(path: String) throws(CheckpointError) {
    file = try accessing(try MappedFile(path: path))
    header = try SafetensorsHeader(parsing: file.unsafeBytes, path: path)
  }
}

/// Everything a safetensors file says before its tensors' bytes.
public struct SafetensorsHeader: Sendable {
  /// The texts under `__metadata__`.
  public internal(set) var metadata: [String: String] = [:]
  /// The tensors in the order of their bytes.
  public internal(set) var tensors: [SafetensorsTensor] = []
}

/// One tensor of a safetensors file.
public struct SafetensorsTensor: Sendable, Hashable {
  public let name: String
  /// The type as the file names it, such as `BF16`.
  public let typeName: String
  /// The type to compute with; nil where this version has none.
  public let dtype: DType?
  public let shape: Shape
  /// The tensor's bytes in the file.
  public let byteRange: Range<Int>

  /// The types that can be read, by the file's names.
  public static let supportedTypes: [(name: String, dtype: DType)] = [
    ("F64", .float64), ("F32", .float32), ("F16", .float16), ("BF16", .bfloat16), ("I64", .int64), ("I32", .int32),
    ("U8", .uint8),
  ]
}
