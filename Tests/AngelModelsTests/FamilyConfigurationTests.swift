import AngelCheckpoint
import AngelCore
import AngelModels
import AngelTesting
import Testing

/// What a family's files may say that is not implemented, or cannot be: each is refused by its name.
struct RefusedField: Sendable, CustomTestStringConvertible {
  let family: String
  let key: String
  let value: JSONValue
  let message: String

  init(_ family: String, _ key: String, _ value: JSONValue, _ message: String) {
    (self.family, self.key, self.value, self.message) = (family, key, value, message)
  }

  var testDescription: String { "\(family): \(key) = \(value.encoded())" }
}

@Suite("Configurations of the families")
struct FamilyConfigurationTests {
  static let refused: [RefusedField] = [
    .init("gemma3_text", "use_bidirectional_attention", true, "'use_bidirectional_attention' is true"),
    .init("gemma3_text", "attn_logit_softcapping", 50, "'attn_logit_softcapping' is 50"),
    .init("gemma3_text", "final_logit_softcapping", 0, "'final_logit_softcapping' is 0, expected a number above 0"),
    .init("gemma3_text", "hidden_activation", "silu", "'hidden_activation' is \"silu\""),
    .init("gemma3_text", "layer_types", ["full_attention"], "6 times sliding_attention or full_attention"),
    .init("gemma3_text", "layer_types", "full_attention", "6 times sliding_attention or full_attention"),
    .init("gemma3_text", "sliding_window_pattern", 0, "'sliding_window_pattern' is 0"),
    .init("gemma3_text", "sliding_window", 0, "'sliding_window' is 0"),
    .init("gemma3_text", "query_pre_attn_scalar", -1, "'query_pre_attn_scalar' is -1"),
    .init("gemma3_text", "rope_local_base_freq", 0, "the rotary base is 0.0"),
    .init("gemma3_text", "rope_parameters", ["rope_theta": 5], "an object for full_attention"),
    .init(
      "gemma3_text", "rope_parameters", ["sliding_attention": ["rope_type": "linear", "factor": 2]],
      "local layers are not stretched"),
    .init("gpt2", "add_cross_attention", true, "'add_cross_attention' is true"),
    .init("gpt2", "activation_function", "relu", "'activation_function' is \"relu\""),
    .init("gpt2", "n_head", 3, "the number of heads is 3, but it must divide 32"),
    .init("gpt2", "layer_norm_epsilon", -1, "the epsilon of the norms is -1.0"),
    .init("hunyuan_v1_dense", "use_cla", true, "'use_cla' is true"),
    .init("hunyuan_v1_dense", "use_mla", true, "'use_mla' is true"),
    .init("hunyuan_v1_dense", "use_qk_norm", false, "'use_qk_norm' is false"),
    .init("hunyuan_v1_dense", "num_experts", 8, "'num_experts' is 8"),
    .init("hunyuan_v1_dense", "intermediate_size", [64, 32], "the same number for every layer"),
    .init("hunyuan_v1_dense", "intermediate_size", [64], "2 whole numbers"),
    .init("hunyuan_v1_dense", "rope_scaling", ["type": "dynamic", "alpha": -1], "'alpha' is -1"),
    .init("mistral", "sliding_window", 0, "'sliding_window' is 0"),
    .init("mistral", "hidden_act", "gelu", "'hidden_act' is \"gelu\""),
    .init("gemma2", "attn_logit_softcapping", -1, "'attn_logit_softcapping' is -1"),
    .init("olmo2", "num_attention_heads", 3, "the number of key-value heads is 2, but it must divide 3"),
    .init("phi3", "partial_rotary_factor", 2, "'partial_rotary_factor' is 2"),
    .init("phi3", "partial_rotary_factor", 0.4, "the head size is 3"),
    .init("phi3", "rope_scaling", ["type": "yarn", "factor": 2], "null or longrope"),
    .init("smollm3", "no_rope_layers", [1, 0], "4 whole numbers from 0 to 1"),
    .init("qwen2", "max_window_layers", "all", "'max_window_layers' is \"all\""),
  ]

  @Test("what is not implemented is refused by name", arguments: refused)
  func refusal(_ field: RefusedField) throws {
    let checkpoint = try self.checkpoint(field.family) { configuration in
      configuration[field.key] = field.value
      if field.key == "max_window_layers" { configuration["use_sliding_window"] = true }
    }
    #expect {
      _ = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint)
    } throws: { error in
      "\(error)".contains(field.message) && !"\(error)".contains("\n")
    }
  }

  @Test("a Mistral without the field has the family's window, with null none")
  func window() throws {
    func window(_ value: JSONValue?) throws -> Int? {
      let checkpoint = try self.checkpoint("mistral") { $0["sliding_window"] = value }
      return try (ModelCatalog.languageModel(for: checkpoint).outline(checkpoint) as? MistralModel)?.configuration
        .window
    }
    #expect(try window(nil) == 4096)
    #expect(try window(.null) == 0)
    #expect(try window(7) == 7)
  }

  @Test("alpha stretches the rotary base by its power of d / (d - 2), whatever the length")
  func alpha() throws {
    // The published models: heads of 128, alpha 1000.
    let checkpoint = try self.checkpoint("hunyuan_v1_dense") { $0["head_dim"] = 128 }
    let model = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint) as? HunyuanDenseModel
    let base = try #require(model?.configuration.rotaryBase)
    #expect(abs(base / 11_158_840 - 1) < 1e-6)
    #expect(model?.configuration.rotaryScaling.uniformLength == .max)
  }

  @Test("GGUF files are taken for what they are called there")
  func ggufNames() throws {
    func family(_ path: String) throws -> String {
      let checkpoint = try Checkpoint.open(Goldens.path("models/" + path))
      return "\(type(of: try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint)))"
    }
    #expect(try family("mistral-tiny/mistral-tiny-F16.gguf") == "LlamaModel")
    #expect(try family("mistral-tiny/mistral-tiny-window-Q8_0.gguf") == "MistralModel")
    #expect(try family("gemma3_text-tiny/gemma3_text-tiny-F16.gguf") == "Gemma3Model")
    #expect(try family("hunyuan_v1_dense-tiny/hunyuan_v1_dense-tiny-F16.gguf") == "HunyuanDenseModel")
  }

  @Test("GPT-2's own names of sizes are known to listings too")
  func dimensions() throws {
    let dimensions = try Checkpoint.open(Goldens.path("models/gpt2-tiny")).dimensions
    #expect(dimensions.hiddenSize == 32 && dimensions.layerCount == 2 && dimensions.headCount == 4)
    #expect(dimensions.contextLength == 96 && dimensions.innerSize == nil)
  }

  /// The base checkpoint of a family with another configuration.
  private func checkpoint(_ family: String, _ change: (inout JSONObject) -> Void) throws -> Checkpoint {
    var configuration = try #require(Goldens.json("models/\(family)-tiny/config.json").object)
    change(&configuration)
    let folder = try TemporaryFolder()
    try folder.write(Array(JSONValue.object(configuration).encoded().utf8), to: "config.json")
    try folder.link(Goldens.path("models/\(family)-tiny/model.safetensors"), as: "model.safetensors")
    return try Checkpoint.open(folder.path)
  }
}
