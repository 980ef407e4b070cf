/// Turns tokens into text as they arrive, holding back bytes of a character that is not complete yet.
///
/// What it returns, one after the other, equals `Tokenizer.decode` of all the tokens.
public struct IncrementalDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skippingSpecialTokens: Bool
  /// At most three bytes between calls.
  private var pending: [UInt8] = []
  private var state: TextDecoder.State

  public init(_ tokenizer: Tokenizer, skippingSpecialTokens: Bool = true) {
    self.tokenizer = tokenizer
    self.skippingSpecialTokens = skippingSpecialTokens
    state = tokenizer.decoder.start()
  }

  /// The text that `token` completes; bytes that can no longer become a character are U+FFFD.
  public mutating func append(_ token: Int32) throws(TokenizerError) -> String {
    try tokenizer.append(token, to: &pending, skippingSpecialTokens: skippingSpecialTokens, &state)
    var position = 0
    var output: [UInt8] = []
    reading: while position < pending.count {
      switch UTF8Repair.unit(in: pending, at: position) {
      case .character(let count):
        output.append(contentsOf: pending[position..<(position + count)])
        position += count
      case .invalid(let count):
        output.append(contentsOf: UTF8Repair.replacement)
        position += count
      case .incomplete: break reading
      }
    }
    pending.removeSubrange(..<position)
    return String(decoding: output, as: UTF8.self)
  }

  /// The end of the text: U+FFFD if it breaks off inside a character, else nothing.
  public mutating func finish() -> String {
    defer { pending.removeAll() }
    return String(decoding: UTF8Repair.repaired(pending), as: UTF8.self)
  }
}
