import AngelCore
import AngelText

extension GGUFTokenizer {
  /// The metadata under `tokenizer.` for a description, with entries up to `vocabularySize`, the rows of the embedding.
  ///
  /// Throws naming what the format has no words for; `path` is for messages.
  static func metadata(
    of description: TokenizerDescription, vocabularySize: Int, endTokens: [Int32], chatTemplate: String?, path: String
  ) throws(CheckpointError) -> [(key: String, value: GGUFValue)] {
    func impossible(_ what: String) -> CheckpointError {
      .tokenizer(path: path, reason: "\(what), for which GGUF has no words; keep the safetensors layout")
    }
    guard case .bytePairs(let rules) = description.model, let name = description.namedPreTokenizer else {
      throw impossible("it cuts text in a way of its own")
    }
    guard rules.unknownToken == nil || rules.unknownToken == description.unknownToken else {
      throw impossible("unknown bytes become a token that is not its unknown token")
    }
    let addsBegin = description.beginToken.map { description.prefix == [$0] } ?? false
    let addsEnd = description.endToken.map { description.suffix == [$0] } ?? false
    guard addsBegin || description.prefix.isEmpty, addsEnd || description.suffix.isEmpty else {
      throw impossible("it puts other tokens around a text than its begin and its end")
    }
    let (tokens, kinds) = try entries(of: description, count: vocabularySize, path: path)
    var result: [(key: String, value: GGUFValue)] = [
      ("model", .string("gpt2")), ("pre", .string(name.rawValue)), ("tokens", .strings(tokens)),
      ("token_type", .integers(kinds.map { Int32($0.rawValue) })), ("merges", .strings(rules.merges)),
    ]
    let other = endTokens.first { $0 != description.endToken }
    let roles = [
      ("bos_token_id", description.beginToken), ("eos_token_id", description.endToken ?? endTokens.first),
      ("eot_token_id", description.endToken == nil ? nil : other), ("unknown_token_id", description.unknownToken),
      ("padding_token_id", description.paddingToken),
    ]
    for (key, token) in roles { if let token { result.append((key, .unsigned(UInt64(token)))) } }
    result += [
      ("add_bos_token", .bool(addsBegin)), ("add_eos_token", .bool(addsEnd)), ("add_space_prefix", .bool(false)),
    ]
    return result.map { ("tokenizer.ggml." + $0.key, $0.value) }
      + (chatTemplate.map { [("tokenizer.chat_template", .string($0))] } ?? [])
  }

  /// Every row of the embedding needs an entry: added tokens in their places, holes and rows beyond as unused ones.
  private static func entries(
    of description: TokenizerDescription, count: Int, path: String
  ) throws(CheckpointError) -> (tokens: StringTable, kinds: [TokenKind]) {
    let added = Dictionary(description.addedTokens.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    let last = max(description.tokens.count, (added.keys.max().map { Int($0) + 1 }) ?? 0)
    guard last <= count else {
      throw .tokenizer(path: path, reason: "it has \(last) tokens, but the model's embedding only \(count) rows")
    }
    var tokens = StringTable()
    var kinds: [TokenKind] = []
    for index in 0..<count {
      if let token = added[Int32(index)] {
        tokens.append(token.content.utf8)
        kinds.append(token.isSpecial ? .control : .userDefined)
      } else if index < description.tokens.count, description.kinds.isEmpty || description.kinds[index] != .unused {
        tokens.append(description.tokens[index])
        kinds.append(description.kinds.isEmpty ? .normal : description.kinds[index])
      } else {
        tokens.append("[PAD\(index)]".utf8)
        kinds.append(.unused)
      }
    }
    return (tokens, kinds)
  }
}
