import AngelCore
import Glibc

/// Which of a model's files are needed: the weights in one form, and the settings that go with it.
///
/// A GGUF file has everything in it. Safetensors need their configuration and tokenizer. Other forms of the same weights
/// (pickles above all) are never fetched.
struct HubSelection: Equatable {
  /// The weights; with `index`, only the shards that it names count, which are known once it has been read.
  var weights: [HubFile]
  var index: HubFile?
  var settings: [HubFile]
  /// What was chosen among several possibilities, for the user to read.
  var note: String?

  static let indexName = "model.safetensors.index.json"

  /// Chooses among the files of `reference`. Throws `HubError.nothingUsable` or `.noMatch`.
  init(_ files: [HubFile], for reference: HubReference) throws(HubError) {
    let groups = GGUFGroup.all(in: files)
    let pattern = reference.pattern
    let wantsSafetensors = ["safetensors", "*.safetensors"].contains(pattern?.lowercased())
    if let pattern, !wantsSafetensors {
      self.init(try Self.group(matching: pattern, among: groups, reference))
    } else if let chosen = Self.safetensors(in: files) {
      self = chosen
      settings = files.filter { Self.isSetting($0.path) }
      guard files.contains(where: { $0.path == "config.json" }) else {
        throw .nothingUsable(repository: reference.repository, reason: Self.withoutConfiguration(files))
      }
      if !groups.isEmpty, !wantsSafetensors {
        note = "safetensors chosen; there are GGUF files too: \(Self.names(groups)) (choose one with :NAME)"
      }
    } else if !groups.isEmpty, !wantsSafetensors {
      self.init(Self.usual(groups))
      if groups.count > 1 { note = "\(weights[0].path) chosen of \(Self.names(groups)) (choose another with :NAME)" }
    } else {
      throw .nothingUsable(
        repository: reference.repository, reason: Self.withoutWeights(files, repository: reference.repository))
    }
  }

  private init(_ group: GGUFGroup) {
    weights = group.files
    settings = []
  }

  private init(weights: [HubFile], index: HubFile? = nil) {
    self.weights = weights
    self.index = index
    settings = []
  }

  // MARK: GGUF

  private static func group(
    matching pattern: String, among groups: [GGUFGroup], _ reference: HubReference
  ) throws(HubError) -> GGUFGroup {
    var matches = groups.filter { $0.name == pattern }
    if matches.isEmpty { matches = groups.filter { $0.matches(pattern) } }
    guard matches.count == 1 else {
      let available =
        groups.isEmpty
        ? "it has no GGUF files" : matches.isEmpty ? "it has \(names(groups))" : "\(names(matches)) match"
      throw .noMatch(repository: reference.repository, pattern: pattern, available: available)
    }
    return matches[0]
  }

  /// As llama.cpp chooses: 4 bits, else 8, else the first.
  private static func usual(_ groups: [GGUFGroup]) -> GGUFGroup {
    for quantization in ["Q4_K_M", "Q8_0"] {
      if let group = groups.first(where: { $0.matches(quantization) }) { return group }
    }
    return groups[0]
  }

  private static func names(_ groups: [GGUFGroup]) -> String {
    groups.prefix(20).map(\.name).joined(separator: ", ") + (groups.count > 20 ? ", …" : "")
  }

  // MARK: Safetensors

  /// One file, or all shards of an index; files of other tools and of adapters are not the model.
  private static func safetensors(in files: [HubFile]) -> HubSelection? {
    let candidates = files.filter {
      $0.path.hasSuffix(".safetensors") && !$0.path.contains("/") && !$0.path.hasPrefix("consolidated")
        && !$0.path.hasPrefix("adapter_")
    }
    if let single = candidates.first(where: { $0.path == "model.safetensors" }) {
      return HubSelection(weights: [single])
    }
    if let index = files.first(where: { $0.path == indexName }), !candidates.isEmpty {
      return HubSelection(weights: candidates, index: index)
    }
    return candidates.count == 1 ? HubSelection(weights: candidates) : nil
  }

  /// Keeps the shards that the index names, all of which must be there.
  mutating func keepShards(_ names: [String], repository: String) throws(HubError) {
    var shards: [HubFile] = []
    for name in names {
      guard let file = weights.first(where: { $0.path == name }) else {
        throw .nothingUsable(repository: repository, reason: "its index names '\(name)', which is not there")
      }
      shards.append(file)
    }
    weights = shards
  }

  /// Configuration, tokenizer and chat template, by the names that transformers and sentence-transformers give them.
  static func isSetting(_ path: String) -> Bool {
    let names: Set<String> = [
      "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
      "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
      "sentencepiece.bpe.model", "chat_template.jinja", "chat_template.json", "preprocessor_config.json",
      "processor_config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json",
    ]
    let isTemplate = path.hasPrefix("additional_chat_templates/") && path.hasSuffix(".jinja")
    return names.contains(path) || isTemplate || path.hasSuffix("_Pooling/config.json")
      || (path.hasSuffix(".tiktoken") && !path.contains("/"))
  }

  // MARK: Reasons

  private static func withoutConfiguration(_ files: [HubFile]) -> String {
    "it has safetensors but no config.json"
      + (files.contains { $0.path == "model_index.json" } ? "; pipelines of several models are not supported" : "")
  }

  private static func withoutWeights(_ files: [HubFile], repository: String) -> String {
    if files.contains(where: { $0.path.hasPrefix("adapter_model.") }) {
      return "it holds an adapter alone; pull the model that it belongs to"
    }
    let pickles = [".bin", ".pt", ".pth", ".ckpt", ".pkl"]
    if let file = files.first(where: { file in pickles.contains { file.path.hasSuffix($0) } }) {
      return "its weights ('\(file.path)') are Python pickles, which can run any program when they are read; "
        + "convert them where you trust them, then pull the folder: python -c \"from transformers import AutoModel"
        + "ForCausalLM as M, AutoTokenizer as T; [x.from_pretrained('\(repository)').save_pretrained('model') "
        + "for x in (M, T)]\" && angel pull model"
    }
    return "it has neither safetensors nor GGUF files"
  }
}
