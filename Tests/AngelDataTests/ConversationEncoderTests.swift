import AngelCore
import AngelText
import Testing

@testable import AngelData

@Suite("Conversations to tokens") struct ConversationEncoderTests {
  /// Every visible ASCII character is a token; the end of a turn is one more.
  private static func tokenizer() throws -> Tokenizer {
    var tokens = StringTable()
    for byte in UInt8(0x21)...0x7E { tokens.append([byte]) }
    tokens.append("<|end|>".utf8)
    var kinds = [TokenKind](repeating: .normal, count: tokens.count)
    kinds[Int(end)] = .control
    return try Tokenizer(
      TokenizerDescription(
        tokens: tokens, kinds: kinds, merges: StringTable(), preTokenizer: .default, endToken: end))
  }

  private static let end: Int32 = 0x7E - 0x21 + 1

  private static let template = """
    {%- for m in messages -%}{{ m.role[0] }}:{{ m.content }}<|end|>|{%- endfor -%}
    {%- if add_generation_prompt -%}a:{%- endif -%}
    """

  private func encode(_ conversation: Conversation, template: String = Self.template) throws -> (String, String) {
    let tokenizer = try Self.tokenizer()
    let encoder = try ConversationEncoder(
      tokenizer: tokenizer, template: ChatTemplate(template), endTokens: [Self.end])
    let sample = try encoder.encode(conversation, at: "x:1")
    let all = try tokenizer.decode(sample.tokens, skippingSpecialTokens: false)
    let learnt = zip(sample.tokens, sample.weights).filter { $1 != 0 }.map(\.0)
    return (all, try tokenizer.decode(learnt, skippingSpecialTokens: false))
  }

  @Test("answers with their end token are learnt; prompts and what follows the end are read")
  func masks() throws {
    let conversation = Conversation(messages: [
      .init(role: "user", "Q"), .init(role: "assistant", "A"), .init(role: "user", "R"), .init(role: "assistant", "BC"),
    ])
    let (all, learnt) = try encode(conversation)
    #expect(all == "u:Q<|end|>|a:A<|end|>|u:R<|end|>|a:BC<|end|>|")
    #expect(learnt == "A<|end|>BC<|end|>")
  }

  @Test("a turn of weight 0 is context only, and nothing after the last learnt turn is kept")
  func weights() throws {
    var conversation = Conversation(messages: [
      .init(role: "user", "Q"), .init(role: "assistant", "A"), .init(role: "user", "R"), .init(role: "assistant", "B"),
      .init(role: "user", "S"),
    ])
    conversation.weights[1] = 0
    let (all, learnt) = try encode(conversation)
    #expect(all == "u:Q<|end|>|a:A<|end|>|u:R<|end|>|a:B<|end|>|")
    #expect(learnt == "B<|end|>")
  }

  @Test("a template that rewrites earlier turns is refused with the turn's number")
  func rewriting() throws {
    let conversation = Conversation(messages: [
      .init(role: "user", "Q"), .init(role: "assistant", "A"), .init(role: "user", "R"), .init(role: "assistant", "B"),
    ])
    let error = #expect(throws: DataError.self) {
      _ = try encode(conversation, template: "{{ messages | length }}" + Self.template)
    }
    #expect(error?.description.contains("rewrites earlier turns when turn 2 is added") == true)
  }
}
