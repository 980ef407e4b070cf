import AngelCore
import AngelText

/// A `tokenizer.model`: SentencePiece's `ModelProto` (`sentencepiece_model.proto` of the project).
struct SentencePieceFile {
  private let path: String
  private var tokens = StringTable()
  private var kinds: [TokenKind] = []
  private var scores: [Float] = []
  /// The model's type by the format's number; its default is unigram.
  private var type: UInt64 = 1
  private var characterMap: [UInt8] = []
  private var addsSpacePrefix = true
  private var removesExtraSpaces = true
  private var fallsBackToBytes = false
  private var roles: [UInt64: Int32] = [40: 0, 41: 1, 42: 2, 43: -1]

  /// Real files have 0.5 to 5 MB.
  static let byteLimit = 64 << 20

  /// Reads the model in the file at `path`.
  static func vocabulary(path: String) throws(CheckpointError) -> SentencePieceVocabulary {
    let file = try accessing(try MappedFile(path: path))
    guard file.byteCount <= byteLimit else {
      throw .unsupported(path: path, reason: "it has \(file.byteCount) bytes; \(byteLimit) are the most")
    }
    return try withExtendedLifetime(file) { () throws(CheckpointError) in
      try vocabulary(parsing: file.unsafeBytes, path: path)
    }
  }

  /// Reads the model in `bytes`; `path` is for messages only.
  static func vocabulary(
    parsing bytes: UnsafeRawBufferPointer, path: String
  ) throws(CheckpointError) -> SentencePieceVocabulary {
    var file = SentencePieceFile(path: path)
    try file.forEachField(of: bytes) { (field, value) throws(CheckpointError) in
      switch (field, value) {
      case (1, .bytes(let piece)): try file.readPiece(piece)
      case (2, .bytes(let settings)): try file.readTrainerSettings(settings)
      case (3, .bytes(let settings)): try file.readNormalizerSettings(settings)
      default: break
      }
    }
    return try file.vocabulary()
  }

  private init(path: String) { self.path = path }

  private func forEachField(
    of bytes: UnsafeRawBufferPointer,
    _ body: (UInt64, ProtobufReader.Value) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    var reader = ProtobufReader(bytes)
    while !reader.isAtEnd {
      let start = reader.position
      guard let (field, value) = reader.next() else {
        throw .damaged(path: path, format: "SentencePiece model", reason: "a field is not protobuf", offset: start)
      }
      try body(field, value)
    }
  }

  private mutating func readPiece(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    var text: UnsafeRawBufferPointer?
    var score: Float = 0
    var kind = TokenKind.normal
    let number = tokens.count
    try forEachField(of: bytes) { (field, value) throws(CheckpointError) in
      switch (field, value) {
      case (1, .bytes(let bytes)): text = bytes
      case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
      case (3, .varint(let raw)):
        guard let raw = UInt8(exactly: raw), let known = TokenKind(rawValue: raw) else {
          throw .tokenizer(path: path, reason: "piece \(number) has the unknown type \(raw)")
        }
        kind = known
      default: break
      }
    }
    guard let text else { throw .tokenizer(path: path, reason: "piece \(number) has no text") }
    tokens.append(UnsafeBufferPointer(start: text.bindMemory(to: UInt8.self).baseAddress, count: text.count))
    scores.append(score)
    kinds.append(kind)
  }

  private mutating func readTrainerSettings(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    var (type, fallsBackToBytes, roles) = (type, fallsBackToBytes, roles)
    try forEachField(of: bytes) { (field, value) throws(CheckpointError) in
      guard case .varint(let number) = value else { return }
      switch field {
      case 3: type = number
      case 24 where number != 0:
        throw .unsupported(path: path, reason: "it writes spaces after words (treat_whitespace_as_suffix)")
      case 35: fallsBackToBytes = number != 0
      // A negative id is a 64-bit number's image.
      case 40...43: roles[field] = Int32(truncatingIfNeeded: number)
      default: break
      }
    }
    (self.type, self.fallsBackToBytes, self.roles) = (type, fallsBackToBytes, roles)
  }

  private mutating func readNormalizerSettings(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    var (map, prefix, extra) = (characterMap, addsSpacePrefix, removesExtraSpaces)
    try forEachField(of: bytes) { (field, value) throws(CheckpointError) in
      switch (field, value) {
      case (2, .bytes(let bytes)): map = Array(bytes)
      case (3, .varint(let number)): prefix = number != 0
      case (4, .varint(let number)): extra = number != 0
      case (5, .varint(0)):
        throw .unsupported(path: path, reason: "it leaves spaces as they are (escape_whitespaces is off)")
      default: break
      }
    }
    (characterMap, addsSpacePrefix, removesExtraSpaces) = (map, prefix, extra)
  }

  private func vocabulary() throws(CheckpointError) -> SentencePieceVocabulary {
    guard type == 1 || type == 2 else {
      throw .unsupported(path: path, reason: "SentencePiece model type \(type); 1 (unigram) and 2 (BPE) are read")
    }
    var result = SentencePieceVocabulary(
      type == 2 ? .bytePairs : .unigram, tokens: tokens, kinds: kinds, scores: scores)
    result.characterMap = characterMap
    result.addsSpacePrefix = addsSpacePrefix
    result.removesExtraSpaces = removesExtraSpaces
    result.fallsBackToBytes = fallsBackToBytes
    func role(_ field: UInt64) -> Int32? { roles[field].flatMap { $0 >= 0 && Int($0) < tokens.count ? $0 : nil } }
    result.unknownToken = role(40)
    result.beginToken = role(41)
    result.endToken = role(42)
    result.paddingToken = role(43)
    return result
  }
}
