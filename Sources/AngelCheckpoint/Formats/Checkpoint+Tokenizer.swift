import AngelCore
public import AngelText

extension Checkpoint {
  /// What the files say about the tokenizer; throws when they have none or one of a kind that is not supported.
  public func tokenizer() throws(CheckpointError) -> TokenizerDescription {
    switch tokenizerSource {
    case .gguf(let header, let path): return try GGUFTokenizer.description(of: header, path: path)
    case .folder(let folder):
      let roles = try JSONFile.objectIfPresent(FilePath.join(folder, "tokenizer_config.json")).map(JSONValue.object)
      let json = FilePath.join(folder, "tokenizer.json")
      let pieces = FilePath.join(folder, "tokenizer.model")
      if FilePath.kind(json) != nil { return try Self.description(json: json, roles) }
      if FilePath.kind(pieces) != nil { return try Self.description(pieces: pieces, roles) }
      throw .tokenizer(path: folder, reason: "there is neither a tokenizer.json nor a tokenizer.model")
    }
  }

  /// The tokenizer with the scores of its `tokenizer.model`, where a folder has one beside `tokenizer.json`; roles, added
  /// tokens and what is put around a text are `tokenizer.json`'s all the same.
  func tokenizerWithScores() throws(CheckpointError) -> TokenizerDescription {
    let description = try tokenizer()
    guard case .folder(let folder) = tokenizerSource, description.namedPreTokenizer == nil else { return description }
    let path = FilePath.join(folder, "tokenizer.model")
    guard FilePath.kind(path) != nil, FilePath.kind(FilePath.join(folder, "tokenizer.json")) != nil else {
      return description
    }
    var scored = try Self.description(pieces: path, nil)
    let known = Set(scored.addedTokens.map(\.id))
    scored.addedTokens += description.addedTokens.filter { !known.contains($0.id) }
    scored.beginToken = description.beginToken
    scored.endToken = description.endToken
    scored.paddingToken = description.paddingToken
    scored.unknownToken = description.unknownToken
    scored.prefix = description.prefix
    scored.suffix = description.suffix
    return scored
  }

  private static func description(
    json path: String, _ roles: JSONValue?
  ) throws(CheckpointError) -> TokenizerDescription {
    let json = JSONValue.object(try JSONFile.object(path, limit: JSONFile.largeLimit))
    do { return try TokenizerDescription(tokenizerJSON: json, tokenizerConfiguration: roles) } catch {
      throw .tokenizer(path: path, reason: error.description)
    }
  }

  private static func description(
    pieces path: String, _ roles: JSONValue?
  ) throws(CheckpointError) -> TokenizerDescription {
    let vocabulary = try SentencePieceFile.vocabulary(path: path)
    do { return try TokenizerDescription(vocabulary, tokenizerConfiguration: roles) } catch {
      throw .tokenizer(path: path, reason: error.description)
    }
  }

  /// All tokens that end an answer: those that the files name, the tokenizer's own, and the turn ends of the chat formats
  /// in use, where the vocabulary has them as special tokens.
  public func endTokens(for tokenizer: Tokenizer) -> Set<Int32> {
    var tokens = Set(endTokens.filter { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
    if let end = tokenizer.endToken { tokens.insert(end) }
    for name in Self.turnEnds {
      if let token = tokenizer.token(named: name), tokenizer.isSpecial(token) { tokens.insert(token) }
    }
    return tokens
  }

  /// ChatML; Llama 3; GPT-2's end of text; Phi 3; Gemma; Mistral and Llama 2; Hunyuan's mixtures and its dense models.
  private static let turnEnds = [
    "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<end_of_turn>", "</s>", "<|eos|>",
    "<｜hy_place▁holder▁no▁2｜>",
  ]

  /// The tokens that end an answer: from `generation_config.json` and `config.json`, or the GGUF metadata. The tokenizer's
  /// own end token is one more, where a model's files name none.
  public var endTokens: [Int32] {
    switch tokenizerSource {
    case .gguf(let header, _): return GGUFTokenizer.endTokens(of: header)
    case .folder:
      let value = generation?["eos_token_id"] ?? configuration["eos_token_id"]
      let ids = value?.array ?? (value.map { [$0] } ?? [])
      return ids.compactMap { $0.integer.flatMap(Int32.init(exactly:)) }
    }
  }
}
