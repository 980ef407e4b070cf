public import AngelCore
public import AngelText

/// The small files of a Hugging Face folder, made from any checkpoint.
public enum HuggingFaceFiles {
  /// The file that says how texts begin and end.
  public static let generationName = "generation_config.json"
  /// The file that holds a chat template alone.
  public static let chatTemplateName = "chat_template.jinja"

  /// `tokenizer.json`, `tokenizer_config.json` and `generation_config.json` by name.
  public static func tokenizer(
    of checkpoint: Checkpoint, contextLength: Int
  ) throws(CheckpointError) -> [(name: String, json: JSONValue)] {
    let description = try checkpoint.tokenizer()
    let files: [(name: String, json: JSONValue)]
    do {
      files = try tokenizer(description, contextLength: contextLength, chatTemplate: checkpoint.chatTemplate)
    } catch {
      throw .tokenizer(path: checkpoint.path, reason: error.description)
    }
    return files + [(generationName, .object(generation(of: checkpoint, description)))]
  }

  /// `tokenizer.json` and `tokenizer_config.json` by name.
  public static func tokenizer(
    _ description: TokenizerDescription, contextLength: Int, chatTemplate: String? = nil
  ) throws(TokenizerError) -> [(name: String, json: JSONValue)] {
    var roles = JSONObject([("tokenizer_class", "PreTrainedTokenizerFast")])
    for (key, token) in [
      ("bos_token", description.beginToken), ("eos_token", description.endToken),
      ("pad_token", description.paddingToken),
      ("unk_token", description.unknownToken),
    ] {
      roles[key] = token.map { .string(description.content(of: $0)) } ?? .null
    }
    if case .wordPiece = description.model {
      // BERT's names of what stands around a text, and of what is to be guessed.
      roles["cls_token"] = roles["bos_token"]
      roles["sep_token"] = roles["eos_token"]
      if let mask = description.maskToken { roles["mask_token"] = .string(description.content(of: mask)) }
    }
    roles["add_bos_token"] = .bool(!description.prefix.isEmpty)
    roles["clean_up_tokenization_spaces"] = false
    roles["model_max_length"] = .integer(contextLength)
    if let chatTemplate { roles["chat_template"] = .string(chatTemplate) }
    return [("tokenizer.json", try description.tokenizerJSON()), ("tokenizer_config.json", .object(roles))]
  }

  /// `bos_token_id` and `eos_token_id`, as both config.json and generation_config.json have them.
  public static func tokenFields(of checkpoint: Checkpoint) throws(CheckpointError) -> JSONObject {
    let description = try checkpoint.tokenizer()
    var result = JSONObject()
    if let token = description.beginToken { result["bos_token_id"] = .integer(Int(token)) }
    var ends = checkpoint.endTokens
    if ends.isEmpty, let token = description.endToken { ends = [token] }
    if ends.count == 1 { result["eos_token_id"] = .integer(Int(ends[0])) }
    if ends.count > 1 { result["eos_token_id"] = .array(ends.map { .integer(Int($0)) }) }
    if let token = description.paddingToken { result["pad_token_id"] = .integer(Int(token)) }
    return result
  }

  private static func generation(of checkpoint: Checkpoint, _ description: TokenizerDescription) -> JSONObject {
    var result = (try? tokenFields(of: checkpoint)) ?? JSONObject()
    result["_from_model_config"] = true
    return result
  }
}
