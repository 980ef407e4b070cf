import AngelCore
import AngelHCF
import AngelText

/// Tokens as texts, for log-probabilities.
struct TokenText: Sendable {
  let tokenizer: Tokenizer

  /// The bytes a token stands for; none for ids that embeddings have beyond the vocabulary.
  func bytes(_ token: Int) -> [UInt8] { (try? tokenizer.bytes(of: Int32(token))) ?? [] }

  /// A token's text. One that is only a part of a character is written `bytes:\xe2\x80`, as OpenAI does, so that two such
  /// tokens stay apart.
  func text(_ token: Int) -> String {
    let bytes = bytes(token)
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    return bytes.reduce(into: "bytes:") { $0 += "\\x" + ($1 < 16 ? "0" : "") + String($1, radix: 16) }
  }

  /// JSON's number; log-probabilities of impossible tokens, which JSON cannot say, are very small ones, as in OpenAI's answers.
  static func number(_ logProbability: Float) -> JSONValue {
    .number(logProbability.isFinite ? Double("\(logProbability)") ?? Double(logProbability) : -9999)
  }
}

/// Log-probabilities as chat completions have them: `{"content":[{"token":…,"logprob":…,"bytes":[…],"top_logprobs":[…]}]}`.
struct ChatLogprobs {
  static func json(_ tokens: [SampledToken], _ texts: TokenText) -> JSONValue {
    ["content": .array(entries(tokens, texts)), "refusal": nil]
  }

  /// One for each token.
  static func entries(_ tokens: [SampledToken], _ texts: TokenText) -> [JSONValue] { tokens.map { entry($0, texts) } }

  private static func entry(_ sampled: SampledToken, _ texts: TokenText) -> JSONValue {
    var object = one(sampled.token, sampled.logProbability ?? -.infinity, texts)
    object["top_logprobs"] = .array(sampled.top.map { .object(one($0.token, $0.logProbability, texts)) })
    return .object(object)
  }

  private static func one(_ token: Int, _ logProbability: Float, _ texts: TokenText) -> JSONObject {
    JSONObject([
      ("token", .string(texts.text(token))), ("logprob", TokenText.number(logProbability)),
      ("bytes", .array(texts.bytes(token).map { .integer(Int($0)) })),
    ])
  }
}

/// Log-probabilities as plain completions have them: parallel arrays of tokens, their numbers, the likeliest in their places
/// (the chosen one always among them) and where each begins in the text, in Unicode code points.
struct CompletionLogprobs {
  private let texts: TokenText
  private var offset: Int

  /// - Parameter offset: code points of text before the first token.
  init(_ texts: TokenText, offset: Int = 0) {
    self.texts = texts
    self.offset = offset
  }

  /// The arrays of the next tokens.
  mutating func next(_ tokens: [SampledToken]) -> JSONValue {
    var names: [JSONValue] = []
    var numbers: [JSONValue] = []
    var tops: [JSONValue] = []
    var offsets: [JSONValue] = []
    for sampled in tokens {
      let text = texts.text(sampled.token)
      names.append(.string(text))
      numbers.append(sampled.logProbability.map(TokenText.number) ?? nil)
      tops.append(sampled.logProbability.map { top(sampled, text, $0) } ?? nil)
      offsets.append(.integer(offset))
      offset += text.unicodeScalars.count
    }
    return [
      "tokens": .array(names), "token_logprobs": .array(numbers), "top_logprobs": .array(tops),
      "text_offset": .array(offsets),
    ]
  }

  /// Of tokens that are spelt alike the likeliest counts.
  private func top(_ sampled: SampledToken, _ text: String, _ logProbability: Float) -> JSONValue {
    var object = JSONObject()
    for candidate in sampled.top {
      let name = texts.text(candidate.token)
      if object[name] == nil { object[name] = TokenText.number(candidate.logProbability) }
    }
    if object[text] == nil { object[text] = TokenText.number(logProbability) }
    return .object(object)
  }
}
