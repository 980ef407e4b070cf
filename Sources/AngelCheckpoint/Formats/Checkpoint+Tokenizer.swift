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
