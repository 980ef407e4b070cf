public import AngelCore

/// Writes a token file: document after document, whole when `finish` succeeds or not at all.
///
/// Tokens go to disk as they come, or stay in memory while they are few; offsets are kept (eight bytes a document).
public struct TokenFileWriter: ~Copyable {
  private let path: String
  private var file: AtomicFile?
  /// What is not on disk yet.
  private var held: [UInt8] = []
  private let holds: Int
  private let makeFolder: () throws -> Void
  private let vocabularySize: Int
  private let tokenizerDigest: String
  private let isWeighted: Bool
  private var offsets: [UInt64] = [0]
  private var digest = TokenDigest()

  /// Bytes that are gathered before they are written.
  private static let piece = 1 << 20

  /// Starts the file that is to become `path`.
  ///
  /// - Parameters:
  ///   - isWeighted: whether documents are samples with weights.
  ///   - holds: a file of fewer bytes stays in memory and is never written.
  ///   - makeFolder: called before a file is begun.
  public init(
    path: String, vocabularySize: Int, tokenizerDigest: String, isWeighted: Bool = false, holds: Int = 0,
    makeFolder: @escaping () throws -> Void = {}
  ) {
    self.path = path
    self.vocabularySize = vocabularySize
    self.tokenizerDigest = tokenizerDigest
    self.isWeighted = isWeighted
    self.holds = holds
    self.makeFolder = makeFolder
  }

  private var tokenBytes: Int { vocabularySize <= 1 << 16 ? 2 : 4 }
  private var stride: Int { tokenBytes + (isWeighted ? 4 : 0) }

  /// Tokens and documents written so far.
  public private(set) var tokenCount = 0
  public var documentCount: Int { offsets.count - 1 }

  /// Appends a document, or with `continues` a part of one that goes on.
  public mutating func append(_ tokens: [Int32], continues: Bool = false) throws {
    precondition(!isWeighted, "a document without weights")
    try add(tokens)
    if !continues { endDocument() }
  }

  /// Appends a document with its weights.
  public mutating func append(_ sample: TokenSample) throws {
    precondition(isWeighted, "a document with weights")
    try add(sample.tokens)
    for weight in sample.weights {
      digest.mix(weight.bitPattern)
      append(weight.bitPattern)
    }
    endDocument()
  }

  private mutating func endDocument() {
    digest.endDocument()
    offsets.append(UInt64(tokenCount))
  }

  private mutating func add(_ tokens: [Int32]) throws {
    for token in tokens {
      precondition(token >= 0 && token < vocabularySize, "token \(token) of a vocabulary of \(vocabularySize)")
      let word = UInt32(truncatingIfNeeded: token)
      digest.mix(word)
      if tokenBytes == 2 { append(UInt16(truncatingIfNeeded: word)) } else { append(word) }
    }
    tokenCount += tokens.count
    if held.count > (file == nil ? max(holds, Self.piece) : Self.piece) { try flush() }
  }

  private mutating func append(_ word: some FixedWidthInteger) {
    withUnsafeBytes(of: word.littleEndian) { held.append(contentsOf: $0) }
  }

  private mutating func flush() throws {
    if file == nil {
      try makeFolder()
      file = try accessing(try AtomicFile(path: path))
    }
    try file.map { file throws(DataError) in try accessing(try file.write(held)) }
    held.removeAll(keepingCapacity: true)
  }

  /// Completes the file, gives it its name and opens it.
  ///
  /// - Parameter about: what else the file says of itself, at most a megabyte.
  @discardableResult
  public consuming func finish(about: JSONValue = .null) throws -> TokenFile {
    let byteCount = tokenCount * stride
    held += repeatElement(0, count: TokenFile.align(byteCount, to: 8) - byteCount)
    for offset in offsets {
      append(offset)
      if file != nil, held.count > Self.piece { try flush() }
    }
    held += description(about)
    guard file != nil || held.count > holds else { return try TokenFile(.held(held), path: path) }
    try flush()
    try file.map { file throws(DataError) in try accessing(try file.commit()) }
    return try TokenFile(path: path)
  }

  private func description(_ about: JSONValue) -> [UInt8] {
    let object: JSONValue = [
      "version": .integer(TokenFile.version), "tokens": .integer(tokenCount),
      "documents": .integer(documentCount), "token_bytes": .integer(tokenBytes),
      "vocabulary_size": .integer(vocabularySize), "tokenizer": .string(tokenizerDigest),
      "weighted": .bool(isWeighted), "digest": .string(digest.text), "about": about,
    ]
    let text = Array(object.encoded().utf8)
    return text + withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + TokenFile.magic
  }
}
