import AngelCore
public import AngelText

/// Texts as tokens, each followed by an end token where there is one.
public struct TextTokens: Sendable {
  private let tokenizer: Tokenizer
  private let endToken: Int32?
  private let key: String

  /// - Parameter key: of the text in rows that are objects.
  public init(_ tokenizer: Tokenizer, endToken: Int32?, key: String) {
    self.tokenizer = tokenizer
    self.endToken = endToken
    self.key = key
  }

  /// The tokens of a row; of a text that comes in pieces the last one has the end token.
  public func tokens(of record: Record) throws -> [Int32] { try tokens(of: record, limit: .max) }

  /// The same of a text that is cut to its first `limit` bytes.
  public func tokens(of record: Record, limit: Int) throws -> [Int32] {
    var text = try record.text(key: key)
    if text.utf8.count > limit { text = String(decoding: text.utf8.prefix(limit), as: UTF8.self) }
    var tokens = try tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: false)
    if let endToken, !record.continues { tokens.append(endToken) }
    return tokens
  }
}
