public import AngelCore

/// A GGUF file (versions 2 and 3, little endian): metadata and tensors of one model, memory mapped.
///
/// Format: `docs/gguf.md` of the ggml project. Opening checks every count, size and offset against the file.
public struct GGUFFile: Sendable {
  /// The mapped file.
  public let file: MappedFile
  /// What stands before the tensors' bytes.
  public let header: GGUFHeader

  /// Opens and checks the file at `path`.
  public init(path: String) throws(CheckpointError) {
    file = try accessing(try MappedFile(path: path))
    header = try GGUFHeader(parsing: file.unsafeBytes, path: path)
  }

  /// The metadata value at `key`.
  public subscript(key: String) -> GGUFValue? { header[key] }
}

/// Everything a GGUF file says before its tensors' bytes.
public struct GGUFHeader: Sendable {
  /// 2 or 3.
  public internal(set) var version: Int = 3
  /// Metadata in the order of the file.
  public internal(set) var metadata: [(key: String, value: GGUFValue)] = []
  /// Tensors start at multiples of this many bytes after `dataOffset`.
  public internal(set) var alignment = 32
  /// Where the tensors' bytes start.
  public internal(set) var dataOffset = 0
  /// The tensors in the order of the file.
  public internal(set) var tensors: [GGUFTensor] = []
  var index: [String: Int] = [:]

  /// The metadata value at `key`.
  public subscript(key: String) -> GGUFValue? { index[key].map { metadata[$0].value } }
}

/// One tensor of a GGUF file.
public struct GGUFTensor: Sendable, Hashable {
  public let name: String
  /// Sizes outermost first; the file has them the other way round.
  public let shape: Shape
  public let type: GGMLType
  /// The tensor's bytes in the file; empty for a type of unknown size.
  public let byteRange: Range<Int>
}
