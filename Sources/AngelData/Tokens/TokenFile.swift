import AngelCore

/// Tokens on disk, mapped: what `angel data tokenize` writes and training reads without decoding anything.
///
/// Layout, little-endian, written in one pass: tokens (u16 where the vocabulary allows, else u32), one after the other;
/// zeros up to a multiple of 8; documents + 1 offsets into the tokens (u64); a JSON description; its length (u64); the 8
/// bytes `ANGELTOK`. The description says `version`, `tokens`, `documents`, `token_bytes`, `vocabulary_size` and
/// `tokenizer`, a digest of what the tokens mean.
public struct TokenFile: Sendable {
  static let magic = Array("ANGELTOK".utf8)
  static let version = 1

  /// What the file says about itself.
  public struct Header: Sendable, Hashable {
    public var tokenCount: Int
    public var documentCount: Int
    /// 2 or 4.
    public var tokenBytes: Int
    public var vocabularySize: Int
    /// A digest of the tokenizer; training with another one is refused.
    public var tokenizerDigest: String
  }

  public let path: String
  public let header: Header
  private let file: MappedFile
  private let offsetsAt: Int

  /// Opens the file at `path`; every size is checked against the file's own, and the offsets against each other.
  public init(path: String) throws(DataError) {
    self.path = path
    file = try accessing(try MappedFile(path: path))
    let (header, end) = try Self.header(file)
    self.header = header
    // Counts are at most the file's size, so nothing overflows.
    offsetsAt = Self.align(header.tokenCount * header.tokenBytes, to: 8)
    let offsetsEnd = offsetsAt + (header.documentCount + 1) * 8
    guard offsetsEnd == end else {
      throw .damaged(path: path, reason: "its tokens and documents take \(offsetsEnd) bytes, not \(end)")
    }
    var previous = 0
    for document in 0...header.documentCount {
      let offset = self.offset(document)
      guard offset >= previous, offset <= header.tokenCount, document > 0 || offset == 0 else {
        throw .damaged(path: path, reason: "document \(document) begins at token \(offset)")
      }
      previous = offset
    }
    guard previous == header.tokenCount else {
      throw .damaged(path: path, reason: "its documents hold \(previous) of \(header.tokenCount) tokens")
    }
  }

  /// The tokens of `range`.
  public func tokens(_ range: Range<Int>) -> [Int32] {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= header.tokenCount, "tokens \(range) of \(header.tokenCount)")
    let bytes = file.unsafeBytes
    let result = range.map { index -> Int32 in
      header.tokenBytes == 2
        ? Int32(bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self).littleEndian)
        : Int32(
          truncatingIfNeeded: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self).littleEndian)
    }
    return withExtendedLifetime(file) { result }
  }

  /// Where a document's tokens stand.
  public func document(_ index: Int) -> Range<Int> { offset(index)..<offset(index + 1) }

  private func offset(_ index: Int) -> Int {
    Int(clamping: file.unsafeBytes.loadUnaligned(fromByteOffset: offsetsAt + 8 * index, as: UInt64.self).littleEndian)
  }

  static func align(_ offset: Int, to alignment: Int) -> Int { (offset + alignment - 1) / alignment * alignment }

  private static func header(_ file: MappedFile) throws(DataError) -> (Header, end: Int) {
    let bytes = file.unsafeBytes
    func damaged(_ reason: String) -> DataError { .damaged(path: file.path, reason: reason) }
    guard bytes.count >= 16, bytes.suffix(8).elementsEqual(magic) else { throw damaged("it does not end as one") }
    let room = bytes.count - 16
    let length = Int(clamping: bytes.loadUnaligned(fromByteOffset: room, as: UInt64.self).littleEndian)
    guard length <= min(1 << 20, room) else { throw damaged("its description has \(length) bytes") }
    let object: JSONValue
    do { object = try JSONValue(parsing: bytes[(room - length)..<room], maximumDepth: 4) } catch {
      throw damaged("its description is not JSON")
    }
    guard object["version"]?.integer == version else { throw damaged("its version is not \(version)") }
    guard let tokens = object["tokens"]?.integer, let documents = object["documents"]?.integer,
      let width = object["token_bytes"]?.integer, let vocabulary = object["vocabulary_size"]?.integer,
      let digest = object["tokenizer"]?.string, width == 2 || width == 4, (0...bytes.count).contains(tokens),
      (0...bytes.count).contains(documents), vocabulary > 0
    else { throw damaged("its description lacks a number, or one is absurd") }
    let header = Header(
      tokenCount: tokens, documentCount: documents, tokenBytes: width, vocabularySize: vocabulary,
      tokenizerDigest: digest)
    return (header, room - length)
  }
}
