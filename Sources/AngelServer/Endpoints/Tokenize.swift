import AngelCore
import AngelText

/// `POST /tokenize`: a text or a conversation as token ids, as vLLM has it.
enum TokenizeEndpoint: Endpoint {
  static let path = "/tokenize"
  static let summary = "The token ids of a text, or of a conversation as the model's template writes it"
  static let fields: [RequestField] = [
    RequestField("model", .string, "which model; the server's first where left out"),
    RequestField("prompt", .string, "a text"),
    RequestField("messages", .array(.object(ChatMessages.fields), 1...10_000), "or a conversation"),
    RequestField("add_special_tokens", .boolean, "put the model's special tokens around a text; default true"),
    RequestField("add_generation_prompt", .boolean, "end a conversation where the assistant begins; default true"),
    RequestField("chat_template_kwargs", .anyObject, "further variables of the model's chat template"),
    RequestField("return_token_strs", .boolean, "the tokens' texts too"),
  ]

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let body = call.body
      let tokens: [Int32]
      switch (body.string("prompt"), body.array("messages")) {
      case (let text?, nil):
        tokens = try use.model.tokenizer.encode(
          text, addingSpecialTokens: body.flag("add_special_tokens") ?? true, parsingSpecialTokens: true)
      case (nil, _?): tokens = try ChatMessages.prompt(ChatMessages.request(body), call.engine(of: use)).tokens
      default: throw APIError.invalid("prompt", "or 'messages' must be given, and not both")
      }
      let texts = TokenText(tokenizer: use.model.tokenizer)
      call.note { $0.promptTokens = tokens.count }
      let wantsTexts = body.flag("return_token_strs") ?? false
      let limit = use.model.contextLength
      call.send {
        [
          "count": .integer(tokens.count), "max_model_len": .integer(limit),
          "tokens": .array(tokens.map { .integer(Int($0)) }),
          "token_strs": wantsTexts ? .array(tokens.map { .string(texts.text(Int($0))) }) : nil,
        ]
      }
    }
  }
}

/// `POST /detokenize`: token ids as a text.
enum DetokenizeEndpoint: Endpoint {
  static let path = "/detokenize"
  static let summary = "The text of token ids, special tokens included"
  static let fields: [RequestField] = [
    RequestField("model", .string, "which model; the server's first where left out"),
    RequestField("tokens", .array(.integer(0...Int(Int32.max)), 0...1 << 20), isRequired: true, "token ids"),
  ]

  static func respond(_ call: APICall) throws {
    try call.withModel { use in
      let tokens = (call.body.array("tokens") ?? []).compactMap(\.integer).map { Int32($0) }
      let text = try TokenIDs.text(tokens, use.model.tokenizer, skippingSpecialTokens: false, field: "tokens")
      call.send { ["prompt": .string(text)] }
    }
  }
}

/// Token ids that came from outside.
enum TokenIDs {
  /// Their text. Throws `APIError` where one is not in the vocabulary.
  static func text(
    _ tokens: [Int32], _ tokenizer: Tokenizer, skippingSpecialTokens: Bool, field: String = "prompt"
  ) throws -> String {
    do {
      return try tokenizer.decode(tokens, skippingSpecialTokens: skippingSpecialTokens)
    } catch {
      throw APIError.invalid(field, "cannot be read: \(error)")
    }
  }
}
