import AngelCore

/// How a folder's encoder makes one vector of a text: the files that sentence-transformers writes beside a model.
public struct SentencePooling: Hashable, Sendable {
  /// Which hidden states count.
  public enum Kind: Hashable, Sendable {
    /// The mean over all tokens.
    case mean
    /// The first token alone.
    case first
  }

  public var kind = Kind.mean
  /// Whether vectors are divided by their length.
  public var normalizes = true
  /// The most tokens of a text that count, special ones included; nil: as many as the model was made for.
  public var longest: Int?

  public init() {}

  /// The folder of a module: a name inside the model's folder, whatever the file says; nil for the model's own.
  static func folderName(_ module: JSONValue) -> String? {
    let name = FilePath.split(module["path"]?.string ?? "").name
    return name.isEmpty || name.hasPrefix(".") ? nil : name
  }
}

extension Checkpoint {
  /// What `modules.json` and its neighbours say, or a GGUF file's metadata; the mean, normalised, where there is neither.
  public func sentencePooling() throws(CheckpointError) -> SentencePooling {
    var result = SentencePooling()
    guard case .folder(let folder) = tokenizerSource else { return try ggufPooling() }
    let path = FilePath.join(folder, "modules.json")
    guard FilePath.kind(path) != nil else { return result }
    let modules = try JSONFile.array(path)
    func module(_ ending: String) -> JSONValue? {
      modules.first { $0["type"]?.string?.hasSuffix(ending) ?? false }
    }
    for module in modules {
      let name = module["type"]?.string ?? "none"
      guard ["Transformer", "Pooling", "Normalize"].contains(where: name.hasSuffix) else {
        throw .unsupported(
          path: path, reason: "it has a module \(quoted(name)); supported: Transformer, Pooling and Normalize")
      }
    }
    result.normalizes = module("Normalize") != nil
    if let fields = try JSONFile.objectIfPresent(FilePath.join(folder, "sentence_bert_config.json")),
      let longest = fields["max_seq_length"], !longest.isNull
    {
      result.longest = try ConfigurationFields(fields, path: path).integer("max_seq_length", in: 1...1 << 24)
    }
    guard let pooling = module("Pooling"), let name = SentencePooling.folderName(pooling) else { return result }
    let file = FilePath.join(FilePath.join(folder, name), "config.json")
    if let fields = try JSONFile.objectIfPresent(file) { result.kind = try Self.kind(fields, path: file) }
    return result
  }

  /// The one way of pooling that is switched on.
  private static func kind(_ fields: JSONObject, path: String) throws(CheckpointError) -> SentencePooling.Kind {
    let prefix = "pooling_mode_"
    var modes = fields.members.filter { $0.key.hasPrefix(prefix) && $0.value == true }
      .map { String($0.key.dropFirst(prefix.count)) }
    if let mode = fields["pooling_mode"]?.string { modes.append(mode) }
    switch modes.sorted() {
    case [], ["mean_tokens"], ["mean"]: return .mean
    case ["cls_token"], ["cls"]: return .first
    default:
      throw .unsupported(
        path: path, reason: "it pools by \(modes.joined(separator: " and ")); supported: mean_tokens, cls_token")
    }
  }
}
