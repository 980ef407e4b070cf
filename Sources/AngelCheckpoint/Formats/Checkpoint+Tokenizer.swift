import AngelCore
public import AngelText

extension Checkpoint {
  /// What the files say about the tokenizer; throws when they have none or one of a kind that is not supported.
  public func tokenizer() throws(CheckpointError) -> TokenizerDescription {
    switch tokenizerSource {
    case .gguf(let header, let path): return try GGUFTokenizer.description(of: header, path: path)
    case .folder(let folder):
      let path = FilePath.join(folder, "tokenizer.json")
      guard FilePath.kind(path) != nil else {
        throw .tokenizer(
          path: folder, reason: "there is no tokenizer.json, the only kind of tokenizer file that is read")
      }
      let json = JSONValue.object(try JSONFile.object(path, limit: JSONFile.largeLimit))
      let roles = try JSONFile.objectIfPresent(FilePath.join(folder, "tokenizer_config.json"))
      do {
        return try TokenizerDescription(tokenizerJSON: json, tokenizerConfiguration: roles.map(JSONValue.object))
      } catch { throw .tokenizer(path: path, reason: error.description) }
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
