public import AngelCore

/// Tokens on disk, mapped: what `angel data tokenize` writes, what a run keeps of its rows, and what training reads
/// without decoding anything. Small ones lie in memory.
///
/// Layout, little-endian, written in one pass: documents one after the other, each its tokens (u16 where the vocabulary
/// allows, else u32) and then, in a weighted file, a weight for each (f32); zeros up to a multiple of 8; documents + 1
/// offsets counted in tokens (u64); a JSON description; its length (u64); the 8 bytes `ANGELTOK`. The description says
/// `version`, `tokens`, `documents`, `token_bytes`, `vocabulary_size`, `tokenizer` (a digest of what the tokens mean) and
/// since version 2 `weighted`, `digest` (of the content) and `about`, whatever the writer has to say.
public struct TokenFile: Sendable {
  static let magic = Array("ANGELTOK".utf8)
  static let version = 2

  /// What the file says about itself.
  public struct Header: Sendable, Hashable {
    public var tokenCount: Int
    public var documentCount: Int
    /// 2 or 4.
    public var tokenBytes: Int
    public var vocabularySize: Int
    /// A digest of the tokenizer; training with another one is refused.
    public var tokenizerDigest: String
    /// Whether every token has a weight in the loss.
    public var isWeighted = false
    /// Of all documents; nothing in files of version 1.
    public var contentDigest = ""
    public var about = JSONValue.null

    /// The bytes of a token with its weight.
    var stride: Int { tokenBytes + (isWeighted ? 4 : 0) }
  }

  public let path: String
  public let header: Header
  private let bytes: TokenBytes
  private let offsetsAt: Int

  /// Opens the file at `path`; every size is checked against the file's own, and the offsets against each other.
  public init(path: String) throws(DataError) {
    try self.init(.mapped(accessing(try MappedFile(path: path))), path: path)
  }

  init(_ bytes: TokenBytes, path: String) throws(DataError) {
    self.path = path
    self.bytes = bytes
    let (header, end) = try Self.header(bytes, path)
    self.header = header
    // Counts are at most the file's size, so nothing overflows.
    offsetsAt = Self.align(header.tokenCount * header.stride, to: 8)
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

  /// Reads all documents and holds them against the digest that was written with them; throws where they differ, or where
  /// the file has none (version 1). What has been read of a mapped file is given back.
  public func checkContent() throws(DataError) {
    var (digest, kept) = (TokenDigest(), 0)
    func mix(_ range: Range<Int>, _ width: Int) {
      for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.piece) {
        let end = min(range.upperBound, start + Self.piece)
        bytes.withBytes { digest.mix($0, start..<end, width: width) }
        guard end - kept >= Self.piece else { continue }
        bytes.release(kept..<end)
        kept = end
      }
    }
    for index in 0..<header.documentCount {
      let range = document(index)
      let start = range.lowerBound * header.stride
      let middle = start + range.count * header.tokenBytes
      mix(start..<middle, header.tokenBytes)
      if header.isWeighted { mix(middle..<(middle + 4 * range.count), 4) }
      digest.endDocument()
    }
    guard digest.text == header.contentDigest else {
      throw .damaged(path: path, reason: "its tokens are not those that were written")
    }
  }

  /// Bytes that are read before they are given back.
  private static let piece = 16 << 20

  /// The tokens of `range`, of a file without weights; throws when one is not in the vocabulary.
  public func tokens(_ range: Range<Int>) throws(DataError) -> [Int32] {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= header.tokenCount && !header.isWeighted,
      "tokens \(range) of \(header.tokenCount)")
    return try tokens(at: range.lowerBound * header.tokenBytes, count: range.count)
  }

  /// Where a document's tokens stand.
  public func document(_ index: Int) -> Range<Int> { offset(index)..<offset(index + 1) }

  /// A document with its weights, which are 1 where the file has none; throws as `tokens` does.
  public func sample(_ index: Int) throws(DataError) -> TokenSample {
    let range = document(index)
    let start = range.lowerBound * header.stride
    let tokens = try tokens(at: start, count: range.count)
    guard header.isWeighted else { return TokenSample(tokens) }
    let weightsAt = start + range.count * header.tokenBytes
    let weights = bytes.withBytes { bytes in
      (0..<range.count).map { index in
        Float(bitPattern: bytes.loadUnaligned(fromByteOffset: weightsAt + 4 * index, as: UInt32.self).littleEndian)
      }
    }
    return TokenSample(tokens, weights: weights)
  }

  private func tokens(at start: Int, count: Int) throws(DataError) -> [Int32] {
    let tokens = bytes.withBytes { bytes in
      header.tokenBytes == 2
        ? (0..<count).map {
          Int32(bytes.loadUnaligned(fromByteOffset: start + 2 * $0, as: UInt16.self).littleEndian)
        }
        : (0..<count).map {
          Int32(bitPattern: bytes.loadUnaligned(fromByteOffset: start + 4 * $0, as: UInt32.self).littleEndian)
        }
    }
    if let wrong = tokens.first(where: { $0 < 0 || $0 >= header.vocabularySize }) {
      throw .damaged(path: path, reason: "it has the token \(wrong) of a vocabulary of \(header.vocabularySize)")
    }
    return tokens
  }

  private func offset(_ index: Int) -> Int {
    bytes.withBytes {
      Int(clamping: $0.loadUnaligned(fromByteOffset: offsetsAt + 8 * index, as: UInt64.self).littleEndian)
    }
  }

  static func align(_ offset: Int, to alignment: Int) -> Int { (offset + alignment - 1) / alignment * alignment }

  private static func header(_ bytes: TokenBytes, _ path: String) throws(DataError) -> (Header, end: Int) {
    func damaged(_ reason: String) -> DataError { .damaged(path: path, reason: reason) }
    let size = bytes.count
    let room = size - 16
    guard room >= 0, bytes.array((size - 8)..<size) == magic else { throw damaged("it does not end as one") }
    let length = bytes.withBytes {
      Int(clamping: $0.loadUnaligned(fromByteOffset: room, as: UInt64.self).littleEndian)
    }
    guard length <= min(1 << 20, room) else { throw damaged("its description has \(length) bytes") }
    let object: JSONValue
    do { object = try JSONValue(parsing: bytes.array((room - length)..<room), maximumDepth: 8) } catch {
      throw damaged("its description is not JSON")
    }
    guard (1...version).contains(object["version"]?.integer ?? 0) else {
      throw damaged("its version is not one of 1 to \(version)")
    }
    guard let tokens = object["tokens"]?.integer, let documents = object["documents"]?.integer,
      let width = object["token_bytes"]?.integer, let vocabulary = object["vocabulary_size"]?.integer,
      let digest = object["tokenizer"]?.string, width == 2 || width == 4, (0...size).contains(tokens),
      (0...size).contains(documents), vocabulary > 0
    else { throw damaged("its description lacks a number, or one is absurd") }
    let header = Header(
      tokenCount: tokens, documentCount: documents, tokenBytes: width, vocabularySize: vocabulary,
      tokenizerDigest: digest, isWeighted: object["weighted"]?.bool ?? false,
      contentDigest: object["digest"]?.string ?? "", about: object["about"] ?? .null)
    return (header, room - length)
  }
}
