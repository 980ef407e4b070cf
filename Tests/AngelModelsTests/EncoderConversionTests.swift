import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelModels
import AngelTesting
import AngelText
import Testing

/// Encoders written in the other layout, against the `gguf` package's file and against themselves.
@Suite("Converting encoders")
struct EncoderConversionTests {
  let folder: TemporaryFolder
  let backend: CPUBackend

  init() throws {
    folder = try TemporaryFolder()
    backend = try CPUBackend(threadCount: 1)
  }

  private func convert(_ source: String, to name: String, _ type: DType? = nil) throws -> Checkpoint {
    let layout: Checkpoint.Layout = name.hasSuffix(".gguf") ? .gguf : .huggingFace
    let request = ModelConverter.Request(target: folder(name), layout: layout, matrixType: type)
    return try Checkpoint.open(ModelConverter(on: backend).convert(Checkpoint.open(source), request).path)
  }

  private func expectEqual(_ a: Checkpoint, _ b: Checkpoint, leavingOut: String = "-") throws {
    let names = a.tensorNames.filter { !$0.hasPrefix(leavingOut) }
    #expect(Set(names) == Set(b.tensorNames))
    for name in names {
      let (one, other) = (try a.tensor(name), try b.tensor(name))
      #expect(one.dtype == other.dtype && one.shape == other.shape, "\(name)")
      #expect(try one.withBytes { one in try other.withBytes { one.elementsEqual($0) } }, "\(name)")
    }
  }

  @Test("a folder becomes the file that the gguf package makes of it, tensors and metadata alike")
  func reference() throws {
    let written = try convert(Goldens.path("models/bert-tiny"), to: "model.gguf")
    let golden = try Checkpoint.open(Goldens.path("models/bert-tiny/bert-tiny-F32.gguf"))
    try expectEqual(golden, written)
    for member in golden.configuration.members where member.key != "general.name" {
      #expect(written.configuration[member.key] == member.value, "\(member.key)")
    }
    // Learned positions and kinds of text stay in float32 whatever the type, as the converter has it.
    let half = try convert(Goldens.path("models/bert-tiny"), to: "half.gguf", .float16)
    #expect(try half.tensor("token_types.weight").dtype == .float32)
    #expect(try half.tensor("position_embd.weight").dtype == .float32)
    #expect(try half.tensor("token_embd.weight").dtype == .float16)
  }

  @Test("a file becomes a folder with the tensors, the tokens and the pooling it came from")
  func thereAndBack() throws {
    let original = try Checkpoint.open(Goldens.path("models/bert-tiny"))
    let back = try convert(Goldens.path("models/bert-tiny/bert-tiny-F32.gguf"), to: "back")
    try expectEqual(original, back, leavingOut: "pooler.")
    for key in ["hidden_size", "num_attention_heads", "type_vocab_size", "model_type", "layer_norm_eps", "hidden_act"] {
      #expect(back.configuration[key] == original.configuration[key], "\(key)")
    }
    #expect(folder.files().contains("back/1_Pooling/config.json"))
    #expect(!folder.files().contains("back/generation_config.json"))
    let golden = try EncoderGolden("models/bert-tiny")
    let tokenizer = try Tokenizer(back.tokenizer())
    for sentence in try #require(golden.json["sentences"]?.array).compactMap(\.string) {
      #expect(try tokenizer.encode(sentence) == Tokenizer(original.tokenizer()).encode(sentence))
    }
  }

  @Test("how a folder pools goes through a file, and through a copy of the folder")
  func pooling() throws {
    try folder.write(
      #"[{"type": "models.Transformer", "path": ""}, {"type": "models.Pooling", "path": "1_Pooling"}]"#.utf8,
      to: "source/modules.json")
    try folder.write(#"{"max_seq_length": 17}"#.utf8, to: "source/sentence_bert_config.json")
    try folder.write(#"{"pooling_mode_cls_token": true}"#.utf8, to: "source/1_Pooling/config.json")
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
      try folder.link(Goldens.path("models/bert-tiny/" + name), as: "source/" + name)
    }
    let expected = try Checkpoint.open(folder("source")).sentencePooling()
    #expect(expected.kind == .first && !expected.normalizes && expected.longest == 17)
    let file = try convert(folder("source"), to: "model.gguf")
    #expect(file.configuration["bert.pooling_type"] == 2)
    #expect(try file.sentencePooling() == expected)
    #expect(try convert(folder("model.gguf"), to: "back").sentencePooling() == expected)
    #expect(try convert(folder("source"), to: "copy", .float16).sentencePooling() == expected)
    #expect(try convert(folder("model.gguf"), to: "half.gguf", .float16).sentencePooling() == expected)
  }

  @Test("a module's path cannot lead out of the folder")
  func escapes() throws {
    try folder.write(#"[{"type": "models.Pooling", "path": "../.."}]"#.utf8, to: "inner/source/modules.json")
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
      try folder.link(Goldens.path("models/bert-tiny/" + name), as: "inner/source/" + name)
    }
    try folder.write("{}".utf8, to: "config.json")
    try folder.write("{}".utf8, to: "inner/config.json")
    #expect(try convert(folder("inner/source"), to: "copy", .float16).sentencePooling().kind == .mean)
    #expect(try TemporaryFolder.read(folder("config.json")) == Array("{}".utf8))
  }
}
