import AngelCore
import AngelTesting
import Testing

@testable import AngelCheckpoint

@Suite struct CheckpointTests {
  /// A folder as Hugging Face lays models out, with two tensors.
  func makeFolder(sharded: Bool = false) throws -> ScratchFolder {
    let folder = try ScratchFolder()
    try folder.write(
      "config.json", #"{"model_type":"llama","hidden_size":4,"eos_token_id":[2,7],"_name_or_path":"org/tiny"}"#)
    if sharded {
      try write(["one"], folder, "model-00001-of-00002.safetensors")
      try write(["two"], folder, "model-00002-of-00002.safetensors")
      try folder.write("model.safetensors.index.json", Self.index)
    } else {
      try write(["one", "two"], folder, "model.safetensors")
    }
    return folder
  }

  static let index = """
    {"metadata":{"total_size":16},"weight_map":{"one":"model-00001-of-00002.safetensors",\
    "two":"model-00002-of-00002.safetensors"}}
    """

  func write(_ names: [String], _ folder: ScratchFolder, _ file: String) throws {
    var writer = try SafetensorsWriter(
      path: folder.path + "/" + file, tensors: names.map { .init(name: $0, dtype: .float32, shape: [2]) })
    for (index, _) in names.enumerated() {
      try [Float(index), -1].withUnsafeBytes { try writer.write($0) }
    }
    try writer.finish()
  }

  func message(_ path: String) -> String {
    checkpointError { _ = try Checkpoint.open(path) }?.description ?? "no error"
  }

  @Test("a Hugging Face folder opens, from the folder and from the file")
  func singleFile() throws {
    let folder = try makeFolder()
    try folder.write("generation_config.json", #"{"temperature":0.6,"eos_token_id":3}"#)
    try folder.write("README.md", "---\nlanguage: en\nlicense: \"mit\"\n---\n# Tiny\n")
    for path in [folder.path, folder.path + "/model.safetensors"] {
      let checkpoint = try Checkpoint.open(path)
      #expect(checkpoint.layout == .huggingFace && checkpoint.architecture == "llama")
      #expect(checkpoint.configuration["hidden_size"] == 4)
      #expect(checkpoint.generation?["temperature"] == 0.6)
      #expect(checkpoint.endTokens == [3])
      #expect(checkpoint.tensorNames == ["one", "two"])
      let record = try checkpoint.tensor("two")
      #expect(record.shape == [2] && record.dtype == .float32 && record.isAligned)
      #expect(ReferenceDequantizer.values(try record.withBytes { Array($0) }, .float32) == [1, -1])
      #expect(checkpoint.card.parameterCount == 4 && checkpoint.card.byteCount == 16)
      #expect(checkpoint.card.byteCounts == [.init(type: "F32", tensors: 2, bytes: 16)])
      #expect(checkpoint.card.license == "mit" && checkpoint.card.name == "org/tiny")
    }
  }

  @Test("a sharded folder opens with the tensors of all shards")
  func sharded() throws {
    let folder = try makeFolder(sharded: true)
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.tensorNames == ["one", "two"])
    #expect(checkpoint.endTokens == [2, 7])
    #expect(checkpoint.generation == nil)
    let shard = try Checkpoint.open(folder.path + "/model-00002-of-00002.safetensors")
    #expect(shard.tensorNames == ["one", "two"], "a shard stands for its model")
  }

  @Test(
    "a shard may not be outside the folder, missing, or without its tensor",
    arguments: [
      (#"{"weight_map":{"one":"../model.safetensors"}}"#, "not a safetensors file in this folder"),
      (#"{"weight_map":{"one":"/etc/model.safetensors"}}"#, "not a safetensors file in this folder"),
      (#"{"weight_map":{"one":"sub/model.safetensors"}}"#, "not a safetensors file in this folder"),
      (#"{"weight_map":{"one":"a\u0000.safetensors"}}"#, "not a safetensors file in this folder"),
      (#"{"weight_map":{"one":"pytorch_model.bin"}}"#, "not a safetensors file in this folder"),
      (#"{"weight_map":{"one":7}}"#, "a number for a file name"),
      (#"{"weight_map":[]}"#, "no weight_map"), (#"[]"#, "an array, not an object"), ("{", "invalid"),
      (#"{"weight_map":{"one":"gone.safetensors"}}"#, "gone.safetensors': No such file"),
      (
        #"{"weight_map":{"three":"model-00001-of-00002.safetensors"}}"#,
        "tensor 'three' is not in it, though the index says so"
      ),
    ])
  func badIndex(_ index: String, _ text: String) throws {
    let folder = try makeFolder(sharded: true)
    try folder.write("model.safetensors.index.json", index)
    let message = message(folder.path)
    #expect(message.contains(text) || (text == "invalid" && message.contains("JSON")), "\(message)")
  }

  @Test("pickle files are refused with the way to convert them", arguments: ["bin", "pt", "pth", "ckpt", "PKL"])
  func pickle(_ ending: String) throws {
    let folder = try ScratchFolder()
    let path = try folder.write("pytorch_model." + ending, [0x80, 2, 0x7D])
    try folder.write("config.json", #"{"model_type":"llama"}"#)
    for path in [path, folder.path] {
      let message = message(path)
      #expect(message.contains("Python pickle") && message.contains("save_file"), "\(message)")
    }
  }

  @Test("a pickle or a GGUF file without an ending is known by its first bytes")
  func contentsDecide() throws {
    let folder = try ScratchFolder()
    #expect(message(try folder.write("blob1", [0x50, 0x4B, 3, 4, 0])).contains("Python pickle"))
    #expect(message(try folder.write("blob2", [1, 2, 3])).contains("neither a GGUF nor a safetensors file"))
    #expect(try Checkpoint.open(try folder.write("blob3", GGUFBuilder.small.bytes)).tensors.count == 2)
  }

  @Test("a folder with one GGUF model opens, with two it lists them")
  func ggufFolder() throws {
    let folder = try ScratchFolder()
    try folder.write("a.gguf", GGUFBuilder.small.bytes)
    try folder.write("manifest.json", "{}")
    #expect(try Checkpoint.open(folder.path).layout == .gguf)
    try folder.write("b.gguf", GGUFBuilder.small.bytes)
    #expect(message(folder.path).contains("name one of them: 'a.gguf', 'b.gguf'"))
  }

  @Test("a path without a model says what is missing")
  func nothingThere() throws {
    let folder = try ScratchFolder()
    #expect(message(folder.path + "/none").contains("there is no such file or folder"))
    #expect(message(folder.path).contains("neither a GGUF file nor config.json with safetensors"))
    #expect(message("/dev/null").contains("neither a file nor a folder"))
    try write(["one"], folder, "model.safetensors")
    #expect(message(folder.path).contains("it holds safetensors, but no config.json"))
    #expect(message(folder.path + "/model.safetensors").contains("no config.json"))
    try folder.write("config.json", "{}")
    #expect(message(folder.path).contains("it has no model_type"))
  }

  @Test("a missing tensor names its nearest relatives")
  func missingTensor() throws {
    let checkpoint = try Checkpoint.open(Golden.path("tokenizer.gguf"))
    let error = checkpointError { _ = try checkpoint.tensor("output.weight") }
    #expect(
      error == .missingTensor(name: "output.weight", path: Golden.path("tokenizer.gguf"), similar: []))
    let similar = checkpointError { _ = try checkpoint.tensor("token_embd.bias") }
    #expect(similar?.description.contains("the nearest names are 'token_embd.weight'") == true)
  }

  @Test("the chat template comes from its own file before the tokenizer's")
  func chatTemplates() throws {
    let folder = try makeFolder()
    #expect(try Checkpoint.open(folder.path).chatTemplate == nil)
    try folder.write(
      "tokenizer_config.json",
      #"{"chat_template":[{"name":"tool","template":"T"},{"name":"default","template":"D"}]}"#)
    #expect(try Checkpoint.open(folder.path).chatTemplate == "D")
    try folder.write("tokenizer_config.json", #"{"chat_template":"C"}"#)
    #expect(try Checkpoint.open(folder.path).chatTemplate == "C")
    try folder.write("chat_template.jinja", "J")
    #expect(try Checkpoint.open(folder.path).chatTemplate == "J")
  }

  @Test("a folder's tokenizer is read from tokenizer.json, and its absence is named")
  func tokenizer() throws {
    let folder = try makeFolder()
    let absent = checkpointError { _ = try Checkpoint.open(folder.path).tokenizer() }
    #expect(absent?.description.contains("there is neither a tokenizer.json nor a tokenizer.model") == true)
    try folder.write(
      "tokenizer.json",
      """
      {"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"added_tokens":[],"normalizer":null,\
      "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},"decoder":{"type":"ByteLevel"}}
      """)
    try folder.write("tokenizer_config.json", #"{"eos_token":"b"}"#)
    let tokenizer = try Checkpoint.open(folder.path).tokenizer()
    #expect(tokenizer.tokens.count == 3 && tokenizer.endToken == 1)
  }

  @Test(
    "a tokenizer field of the wrong kind is named",
    arguments: [
      ("tokenizer.ggml.model", "has no tokenizer.ggml.model"),
      ("tokenizer.ggml.tokens", "has no tokenizer.ggml.tokens"),
      ("tokenizer.ggml.merges", "has no tokenizer.ggml.merges"),
    ])
  func missingTokenizerField(_ key: String, _ text: String) throws {
    var builder = GGUFBuilder()
    if key != "tokenizer.ggml.model" { builder.add("tokenizer.ggml.model", "gpt2") }
    if key != "tokenizer.ggml.tokens" { builder.addStrings("tokenizer.ggml.tokens", ["a", "b"]) }
    if key != "tokenizer.ggml.merges" { builder.addStrings("tokenizer.ggml.merges", []) }
    let header = try parseGGUF(builder.bytes)
    let error = checkpointError { _ = try GGUFTokenizer.description(of: header, path: "x.gguf") }
    #expect(error?.description.contains(text) == true, "\(String(describing: error))")
  }

  static let wrongFields: [DamageCase] = [
    .init("model", "tokenizer.ggml.model is 'rwkv', which is not supported; supported: bert, gpt2, llama, t5") {
      $0.add("tokenizer.ggml.model", "rwkv")
    },
    .init("model kind", "tokenizer.ggml.model is an integer, not a string") { $0.add("tokenizer.ggml.model", 1) },
    .init("bos", "bos_token_id is not one of the 2 tokens") {
      $0.add("tokenizer.ggml.model", "gpt2")
      $0.add("tokenizer.ggml.bos_token_id", 2)
    },
    .init("token types", "token_type is an array of numbers, not 2 small integers") {
      $0.add("tokenizer.ggml.model", "gpt2")
      $0.addArray("tokenizer.ggml.token_type", .int32, count: 1, GGUFBuilder.number(Int32(1)))
    },
    .init("token type 9", "token_type has the unknown kind 9") {
      $0.add("tokenizer.ggml.model", "gpt2")
      $0.addArray("tokenizer.ggml.token_type", .uint8, count: 2, [1, 9])
    },
    .init("scores", "scores is a string") {
      $0.add("tokenizer.ggml.model", "llama")
      $0.add("tokenizer.ggml.scores", "x")
    },
    .init("no scores", "has no tokenizer.ggml.scores") { $0.add("tokenizer.ggml.model", "t5") },
    .init("charsmap", "precompiled_charsmap is a string, not an array of bytes") {
      $0.add("tokenizer.ggml.model", "t5")
      $0.addArray("tokenizer.ggml.scores", .float32, count: 2, GGUFBuilder.number(Float(0).bitPattern) + [0, 0, 0, 0])
      $0.add("tokenizer.ggml.precompiled_charsmap", "x")
    },
    .init("damaged charsmap", "character map is not valid: a trie of 9 bytes in 4") {
      $0.add("tokenizer.ggml.model", "t5")
      $0.addArray("tokenizer.ggml.scores", .float32, count: 2, GGUFBuilder.number(Float(0).bitPattern) + [0, 0, 0, 0])
      $0.addArray("tokenizer.ggml.precompiled_charsmap", .uint8, count: 4, [9, 0, 0, 0])
    },
    .init("bert without unknown token", "has no tokenizer.ggml.unknown_token_id") {
      $0.add("tokenizer.ggml.model", "bert")
    },
    .init("pre", "pre-tokenizer 'nobody' is not supported") {
      $0.add("tokenizer.ggml.model", "gpt2")
      $0.add("tokenizer.ggml.pre", "nobody")
    },
    .init("add_bos_token", "add_bos_token is an integer, not a boolean") {
      $0.add("tokenizer.ggml.model", "gpt2")
      $0.add("tokenizer.ggml.add_bos_token", 1)
    },
  ]

  @Test("a tokenizer field with a wrong value is named", arguments: wrongFields)
  func wrongTokenizerField(_ damage: DamageCase) throws {
    var builder = GGUFBuilder()
    builder.addStrings("tokenizer.ggml.tokens", ["a", "b"])
    builder.addStrings("tokenizer.ggml.merges", ["a b"])
    damage.damage(&builder)
    let header = try parseGGUF(builder.bytes)
    let error = checkpointError { _ = try GGUFTokenizer.description(of: header, path: "x.gguf") }
    #expect(error?.description.contains(damage.message) == true, "\(String(describing: error))")
  }

  @Test("no damaged index or configuration traps")
  func mutations() throws {
    let index = Array(Self.index.utf8)
    let configuration = Array(#"{"model_type":"llama","a":[1,2.5e3,{"b":null}],"eos_token_id":[2,7],"t":"é"}"#.utf8)
    let before = peakMemory()
    for seed in 0..<Mutation.cases {
      let damaged = Mutation.of(index, seed)
      if let object = try? JSONFile.object(damaged, path: "x"), let parsed = try? ShardIndex(object, path: "x") {
        for file in parsed.files { #expect(!file.contains("/") && file.hasSuffix(".safetensors")) }
      }
      _ = try? JSONFile.object(Mutation.of(configuration, seed), path: "x")
    }
    #expect(peakMemory() - before < 256 << 20)
  }

  @Test("no damaged configuration on the disk traps")
  func folderMutations() throws {
    let folder = try makeFolder()
    let configuration = Array(#"{"model_type":"llama","eos_token_id":[2,7],"_name_or_path":"x"}"#.utf8)
    for seed in 0..<Mutation.cases / 20 {
      try folder.write("config.json", Mutation.of(configuration, seed))
      guard let checkpoint = try? Checkpoint.open(folder.path) else { continue }
      _ = checkpoint.endTokens
    }
  }
}
