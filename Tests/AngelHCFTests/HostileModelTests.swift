import AngelCore
import AngelHCF
import AngelTesting
import Testing

/// What is wrong with a model, and a part of what must be said about it.
struct HostileCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let message: String
  let spoil: @Sendable (inout TinyModel) -> Void

  init(_ name: String, _ message: String, _ spoil: @escaping @Sendable (inout TinyModel) -> Void) {
    testDescription = name
    self.message = message
    self.spoil = spoil
  }

  /// A field of `config.json`.
  static func field(_ key: String, _ value: JSONValue, _ message: String) -> HostileCase {
    HostileCase("\(key) = \(value.encoded())", message) { $0.configuration[key] = value }
  }

  /// A rotary scaling.
  static func scaling(_ value: JSONValue, _ message: String) -> HostileCase { .field("rope_scaling", value, message) }
}

@Suite("Hostile models")
struct HostileModelTests {
  static let sizes: [HostileCase] = [
    .field("num_attention_heads", 0, "'num_attention_heads' is 0"),
    .field("num_attention_heads", -4, "'num_attention_heads' is -4"),
    .field("num_attention_heads", "4", "'num_attention_heads' is \"4\""),
    .field("num_attention_heads", 1e300, "'num_attention_heads'"),
    .field("num_attention_heads", 65_536, "configuration asks for"),
    .field("num_key_value_heads", 3, "must divide 4"),
    .field("num_key_value_heads", 8, "must divide 4"),
    .field("num_key_value_heads", 0, "'num_key_value_heads' is 0"),
    .field("head_dim", 1, "the head size is 1"),
    .field("head_dim", 15, "the head size is 15"),
    .field("head_dim", 4096, "configuration asks for"),
    .field("head_dim", .integer(1 << 40), "'head_dim'"),
    .field("hidden_size", .integer(1 << 20), "configuration asks for"),
    .field("hidden_size", 0, "'hidden_size' is 0"),
    .field("intermediate_size", 97, "configuration asks for"),
    .field("num_hidden_layers", 4096, "no tensor 'model.layers.2."),
    .field("num_hidden_layers", 1, "no place for tensor 'model.layers.1."),
    .field("num_hidden_layers", .integer(1 << 60), "'num_hidden_layers'"),
    .field("max_position_embeddings", 0, "'max_position_embeddings' is 0"),
    .field("max_position_embeddings", -1, "'max_position_embeddings' is -1"),
    .field("max_position_embeddings", .integer(1 << 62), "'max_position_embeddings'"),
    .field("vocab_size", 263, "configuration asks for"),
    .field("vocab_size", 0, "'vocab_size' is 0"),
    .field("rms_norm_eps", -1, "the epsilon of the norms is -1.0"),
    .field("rms_norm_eps", 1e300, "'rms_norm_eps'"),
    .field("rms_norm_eps", "small", "'rms_norm_eps' is \"small\""),
    .field("hidden_act", "gelu", "'hidden_act' is \"gelu\""),
    .field("attention_bias", true, "no tensor 'model.layers.0.self_attn.q_proj.bias'"),
    .field("attention_bias", 1, "'attention_bias' is 1"),
    HostileCase("heads wider than kernels have room for", "the head size is 10000, but 1 to 8192 are possible") {
      $0.configuration["head_dim"] = nil
      $0.configuration["hidden_size"] = 40_000
    },
    HostileCase("huge cache", "the cache of a token") {
      $0.configuration["head_dim"] = 4096
      $0.configuration["num_attention_heads"] = 65_536
      $0.configuration["num_key_value_heads"] = 65_536
    },
  ]

  static let rotations: [HostileCase] = [
    .field("rope_theta", 0, "the rotary base is 0.0"),
    .field("rope_theta", -10_000, "the rotary base is -10000.0"),
    .field("rope_theta", 1e-30, "the rotary base is 1e-30"),
    .field("rope_theta", 1e300, "'rope_theta'"),
    .scaling("linear", "'rope_scaling' is \"linear\", expected an object"),
    .scaling(["type": "spiral"], "'rope_type' is \"spiral\""),
    .scaling(["type": "linear"], "'factor' is missing"),
    .scaling(["type": "linear", "factor": 0], "'factor' is 0, expected a number above 0"),
    .scaling(["type": "linear", "factor": -2], "'factor' is -2"),
    .scaling(["type": "linear", "factor": 1e-30], "the rotary frequency of pair 0"),
    .scaling(["type": "linear", "factor": 1e300], "'factor'"),
    .scaling(["type": "dynamic", "factor": 0], "'factor' is 0"),
    .scaling(["type": "dynamic", "factor": 1e30], "the rotary frequency of pair 1"),
    .scaling(["type": "dynamic", "factor": -1e30], "'factor' is -1e+30"),
    .scaling(["type": "yarn", "factor": 0], "'factor' is 0"),
    .scaling(["type": "yarn", "factor": 4, "beta_fast": 0], "'beta_fast' is 0"),
    .scaling(["type": "yarn", "factor": 4, "attention_factor": -1], "'attention_factor' is -1"),
    .scaling(
      ["type": "yarn", "factor": 4, "original_max_position_embeddings": 0], "'original_max_position_embeddings'"),
    .scaling(
      ["type": "yarn", "factor": 4, "mscale": -30, "mscale_all_dim": 1], "the rotary attention factor is -"),
    .scaling(
      ["type": "llama3", "factor": 8, "low_freq_factor": 0, "high_freq_factor": 4], "'low_freq_factor' is 0"),
    .scaling(["type": "longrope", "short_factor": [1, 2], "long_factor": [1, 2]], "8 positive numbers"),
    .scaling(
      [
        "type": "longrope", "short_factor": [1, 1, 1, 1, 1, 1, 1, 0], "long_factor": [1, 1, 1, 1, 1, 1, 1, 1],
      ], "8 positive numbers"),
    .scaling(
      [
        "type": "longrope", "short_factor": [1, 1, 1, 1, 1, 1, 1, 1], "long_factor": [1, 1, 1, 1, 1, 1, 1, 1],
        "original_max_position_embeddings": 1, "factor": 2,
      ], "the rotary attention factor is inf"),
  ]

  static let tensors: [HostileCase] = [
    HostileCase("norm in I32", "'model.norm.weight'") { $0.tensors["model.norm.weight"]?.type = "I32" },
    HostileCase("matrix in I32", "has type i32 [64, 64]") {
      $0.tensors["model.layers.1.self_attn.q_proj.weight"]?.type = "I32"
    },
    HostileCase("embedding in F64", "has type f64 [264, 64]") {
      $0.tensors["model.embed_tokens.weight"] = .init("F64", [264, 64], [UInt8](repeating: 0, count: 264 * 64 * 8))
    },
    HostileCase("scalar norm", "has shape [], the configuration asks for [64]") {
      $0.tensors["model.norm.weight"] = .init([], [1])
    },
    HostileCase("matrix of three axes", "has shape [1, 64, 64]") {
      $0.tensors["model.layers.0.self_attn.q_proj.weight"]?.shape = [1, 64, 64]
    },
    HostileCase("empty matrix", "has shape [0, 64]") {
      $0.tensors["model.layers.0.self_attn.q_proj.weight"] = .init([0, 64], [])
    },
    HostileCase("missing norm", "no tensor 'model.norm.weight'") { $0.tensors["model.norm.weight"] = nil },
    HostileCase("head of an unknown type", "'lm_head.weight' of") {
      $0.tensors["lm_head.weight"] = .init("I8", [264, 256], [UInt8](repeating: 0, count: 264 * 256))
    },
    HostileCase("a bias nobody asked for", "no place for tensor 'model.layers.0.self_attn.q_proj.bias'") {
      $0.tensors["model.layers.0.self_attn.q_proj.bias"] = .init([64], [Float](repeating: 1, count: 64))
    },
    HostileCase("norm of NaN", "the logit of token 0 is nan at step 0") {
      $0.tensors["model.norm.weight"] = .init([64], [Float](repeating: .nan, count: 64))
    },
    HostileCase("infinite embedding", "at step 0") {
      $0.tensors["model.embed_tokens.weight"] = .init([264, 64], [Float](repeating: .infinity, count: 264 * 64))
    },
    HostileCase("huge head", "at step 0") {
      $0.tensors["lm_head.weight"] = .init([264, 64], [Float](repeating: 3e38, count: 264 * 64))
    },
    HostileCase("an embedding smaller than the tokenizer's vocabulary", "token 104 is not in the vocabulary") {
      $0.configuration["vocab_size"] = 100
      for name in ["model.embed_tokens.weight", "lm_head.weight"] {
        $0.tensors[name]?.shape = [100, 64]
        $0.tensors[name]?.bytes.removeLast(164 * 64 * 4)
      }
    },
  ]

  @Test("one clear error and no trap, whatever is wrong", arguments: sizes + rotations + tensors)
  func refused(_ hostile: HostileCase) throws {
    var model = try TinyModel()
    hostile.spoil(&model)
    let folder = try model.folder()
    do {
      let session = try makeSession(folder.path)
      let result = try session.answer(session.promptTokens(for: "Hello there"), .greedy(4))
      Issue.record("it answered '\(result.text)'")
    } catch {
      let text = try #require(error as? any DescribedError).description
      #expect(text.contains(hostile.message), "\(text)")
      #expect(!text.contains("\n"))
    }
  }

  @Test(
    "odd but possible values work",
    arguments: [
      HostileCase.field("max_position_embeddings", .integer(1 << 31), ""), .field("max_position_embeddings", 5, ""),
      .field("rms_norm_eps", 0, ""), .field("rope_theta", 1, ""), .field("rope_theta", 1e38, ""),
      .field("unknown_field", ["nested": [1, 2, [3]]], ""), .field("rope_scaling", [:], ""),
      .scaling(["type": "linear", "factor": 1e30], ""), .scaling(["type": "dynamic", "factor": 1e6], ""),
      .scaling(["type": "yarn", "factor": 1e30], ""), .scaling(["type": "yarn", "factor": 0.5, "beta_slow": 1e30], ""),
    ])
  func accepted(_ odd: HostileCase) throws {
    var model = try TinyModel()
    odd.spoil(&model)
    let folder = try model.folder()
    let session = try makeSession(folder.path)
    #expect(try session.answer([75, 104, 111], .greedy(2)).tokens.count == 2)
  }

  @Test("a padded embedding may give tokens that the tokenizer does not know: they have no text")
  func paddedEmbedding() throws {
    var model = try TinyModel()
    model.configuration["vocab_size"] = 300
    for name in ["model.embed_tokens.weight", "lm_head.weight"] {
      model.tensors[name]?.shape = [300, 64]
      model.tensors[name]?.bytes += [UInt8](repeating: 0, count: 36 * 64 * 4)
    }
    let folder = try model.folder()
    let session = try makeSession(folder.path)
    var sampling = SamplingParameters.greedy(3)
    sampling.logitBias = [290: 100]
    let result = try session.answer(session.promptTokens(for: "Hello"), sampling)
    #expect(result.tokens == [290, 290, 290] && result.text.isEmpty)
  }

  @Test("weights that are not numbers spoil no perplexity unseen")
  func damagedPerplexity() throws {
    var model = try TinyModel()
    model.tensors["model.norm.weight"] = .init([64], [Float](repeating: .nan, count: 64))
    let folder = try model.folder()
    let session = try makeSession(folder.path)
    var perplexity = Perplexity()
    #expect(throws: EngineError.damagedLogits(position: 0)) {
      try perplexity.score([1, 2, 3], with: session.engine)
    }
    #expect(perplexity.tokenCount == 0)
  }

  @Test("damaged bytes in config.json never trap", arguments: [0, 1, 2, 3])
  func mutations(_ part: UInt64) throws {
    let model = try TinyModel()
    let folder = try model.folder()
    let text = try TemporaryFolder.read(folder("config.json"))
    let random = PhiloxGenerator(seed: 77, stream: part)
    let count = Environment.current().runsAllTests ? 5000 : 500
    for round in 0..<count {
      let words = random.block(at: UInt64(round))
      var changed = text
      let place = Int(words[0]) % text.count
      // Digits and signs find more than arbitrary bytes, which hardly ever stay JSON.
      let interesting = Array("0123456789-.eE\",:[]{}".utf8)
      switch words[1] % 3 {
      case 0: changed[place] = interesting[Int(words[2]) % interesting.count]
      case 1: changed.insert(interesting[Int(words[2]) % interesting.count], at: place)
      default: changed.remove(at: place)
      }
      try folder.write(changed, to: "config.json")
      do {
        let engine = try makeEngine(folder.path)
        _ = try engine.logits(after: [1, 2, 3], in: engine.makeSequence())
      } catch {
        #expect(error is any DescribedError, "\(error)")
      }
    }
  }
}
