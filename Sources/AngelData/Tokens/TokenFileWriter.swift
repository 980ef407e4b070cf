import AngelCore

/// Writes a token file: document after document, whole when `finish` succeeds or not at all.
///
/// Offsets are kept in memory (eight bytes a document); tokens go to disk as they come.
public struct TokenFileWriter: ~Copyable {
  private let file: AtomicFile
  private let vocabularySize: Int
  private let tokenizerDigest: String
  private var offsets: [UInt64] = [0]

  /// Starts the file that is to become `path`.
  public init(path: String, vocabularySize: Int, tokenizerDigest: String) throws(DataError) {
    self.vocabularySize = vocabularySize
    self.tokenizerDigest = tokenizerDigest
    file = try accessing(try AtomicFile(path: path))
  }

  private var tokenBytes: Int { vocabularySize <= 1 << 16 ? 2 : 4 }

  /// Tokens written so far.
  public var tokenCount: Int { Int(offsets[offsets.count - 1]) }

  /// Appends a document.
  public mutating func append(_ tokens: [Int32]) throws(DataError) {
    precondition(
      tokens.allSatisfy { $0 >= 0 && $0 < vocabularySize }, "a token outside the vocabulary of \(vocabularySize)")
    if tokenBytes == 2 {
      try write(tokens.map { UInt16(truncatingIfNeeded: $0).littleEndian })
    } else {
      try write(tokens.map { UInt32(truncatingIfNeeded: $0).littleEndian })
    }
    offsets.append(offsets[offsets.count - 1] + UInt64(tokens.count))
  }

  private func write<Element: BitwiseCopyable>(_ values: [Element]) throws(DataError) {
    try Self.write(values, to: file)
  }

  private static func write<Element: BitwiseCopyable>(_ values: [Element], to file: AtomicFile) throws(DataError) {
    let failure: FileError? = values.withUnsafeBytes { bytes in
      do throws(FileError) {
        try file.write(bytes)
        return nil
      } catch { return error }
    }
    if let failure { throw .file(failure) }
  }

  /// Completes the file and gives it its name.
  public consuming func finish() throws(DataError) {
    let byteCount = tokenCount * tokenBytes
    try accessing(try file.write(repeatElement(0, count: TokenFile.align(byteCount, to: 8) - byteCount)))
    try Self.write(offsets.map(\.littleEndian), to: file)
    try accessing(try file.write(description()))
    try accessing(try file.commit())
  }

  private func description() -> [UInt8] {
    let object: JSONValue = [
      "version": .integer(TokenFile.version), "tokens": .integer(tokenCount),
      "documents": .integer(offsets.count - 1), "token_bytes": .integer(tokenBytes),
      "vocabulary_size": .integer(vocabularySize), "tokenizer": .string(tokenizerDigest),
    ]
    let text = Array(object.encoded().utf8)
    return text + withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + TokenFile.magic
  }
}
