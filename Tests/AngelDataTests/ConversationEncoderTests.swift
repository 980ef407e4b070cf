import AngelCore
import AngelTesting
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
    let samples = try encoder.encode(conversation, at: "x:1")
    let sample = samples.dropFirst().reduce(into: samples[0]) { all, next in
      for (token, weight) in zip(next.tokens, next.weights) { all.append([token], weight: weight) }
    }
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

  @Test("where a template rewrites earlier turns every answer is learnt once, in a sample of its own")
  func rewriting() throws {
    let conversation = Conversation(messages: [
      .init(role: "user", "Q"), .init(role: "assistant", "A"), .init(role: "user", "R"), .init(role: "assistant", "B"),
    ])
    let template = "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}" + Self.template
    let (all, learnt) = try encode(conversation, template: template)
    #expect(all == "1u:Q<|end|>|a:A<|end|>|2u:Q<|end|>|a:A<|end|>|u:R<|end|>|a:B<|end|>|")
    #expect(learnt == "A<|end|>B<|end|>")
  }

  @Test("a template that writes an answer otherwise than after its prompt is refused with the turn's number")
  func unrelatedPrompt() throws {
    let conversation = Conversation(messages: [.init(role: "user", "Q"), .init(role: "assistant", "A")])
    let error = #expect(throws: DataError.self) {
      _ = try encode(conversation, template: "{{ messages | length }}" + Self.template)
    }
    #expect(error?.description.contains("does not write turn 2 after the prompt that asks for it") == true)
  }

  @Test("a call that the template passes over is not learnt as silence")
  func unwrittenCall() throws {
    let call: JSONValue = ["type": "function", "function": ["name": "f", "arguments": [:]]]
    let conversation = Conversation(messages: [
      .init(role: "user", "Q"), .init(role: "assistant", content: .text(""), toolCalls: [call]),
    ])
    let error = #expect(throws: DataError.self) { _ = try encode(conversation) }
    #expect(error?.description.contains("does not write the call of 'f' in turn 2") == true)
  }

  @Test("rows with tool calls are transformers' tokens; calls are learnt, tools and their results are not")
  func toolRows() throws {
    let goldens = try Goldens.json("templates/tool_rows.json")
    let templates = try Goldens.json("templates/cases.json")["templates"]
    let cases = try #require(goldens["cases"]?.array)
    #expect(cases.count == 11)
    for golden in cases {
      func text(_ key: String) -> String { golden[key]?.string ?? "" }
      let tokenizerJSON = try Goldens.json("tokenizer/\(text("tokenizer")).json")
      var description = try TokenizerDescription(tokenizerJSON: tokenizerJSON)
      let end = try #require(try Tokenizer(description).encode(text("end"), addingSpecialTokens: false).first)
      description.endToken = end
      description.beginToken = try Tokenizer(description).encode(text("begin"), addingSpecialTokens: false).first
      let encoder = try ConversationEncoder(
        tokenizer: Tokenizer(description), template: ChatTemplate(templates?[text("template")]?.string ?? ""),
        endTokens: [end])
      let row = try #require(goldens["rows"]?[text("row_name")])
      let conversation = try ConversationLayout.detect(row, at: "x:1").conversation(row, at: "x:1")
      if text("template") == "smollm3" {
        // It writes tools, but passes over the calls of a turn: transformers' tokens would teach an empty answer.
        #expect(throws: DataError.self) { _ = try encoder.encode(conversation, at: "x:1") }
        continue
      }
      let samples = try encoder.encode(conversation, at: "x:1")
      let want = try #require(golden["samples"]?.array)
      #expect(samples.count == want.count, "\(text("template")), \(text("row_name"))")
      for (sample, expected) in zip(samples, want) {
        #expect(sample.tokens.map(Int.init) == expected["tokens"]?.array?.compactMap(\.integer))
        let learnt = (expected["learnt"]?.array ?? []).flatMap { range in
          Array((range.array?[0].integer ?? 0)..<(range.array?[1].integer ?? 0))
        }
        #expect(sample.weights.indices.filter { sample.weights[$0] != 0 } == learnt, "\(text("template"))")
      }
    }
  }
}
