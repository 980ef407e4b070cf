import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelModels
import AngelTesting
import AngelText
import Testing

/// Models written in the other layout, against the `gguf` package's files and against themselves.
@Suite("Converting models")
struct ConversionTests {
  static let folders = ModelCatalog.languageModels.keys.sorted().map { $0 + "-tiny" }
  let folder: TemporaryFolder
  let backend: CPUBackend

  init() throws {
    folder = try TemporaryFolder()
    backend = try CPUBackend(threadCount: 1)
  }

  @discardableResult
  private func convert(
    _ source: String, to name: String, _ type: DType? = nil, splitBytes: Int? = nil
  ) throws -> Checkpoint {
    let layout: Checkpoint.Layout = name.hasSuffix(".gguf") ? .gguf : .huggingFace
    var request = ModelConverter.Request(target: folder(name), layout: layout, matrixType: type)
    request.splitBytes = splitBytes
    let result = try ModelConverter(on: backend).convert(try Checkpoint.open(source), request)
    let checkpoint = try Checkpoint.open(result.path)
    #expect(result.tensorCount == checkpoint.tensorNames.count)
    return checkpoint
  }

  private func refusal(_ source: String, to name: String, _ type: DType? = nil) -> String {
    do {
      try convert(source, to: name, type)
      return "nothing"
    } catch { return "\(error)" }
  }

  /// Every tensor of one checkpoint is in the other, byte for byte.
  private func expectEqual(_ a: Checkpoint, _ b: Checkpoint) throws {
    #expect(Set(a.tensorNames) == Set(b.tensorNames))
    for name in a.tensorNames {
      let (one, other) = (try a.tensor(name), try b.tensor(name))
      #expect(one.dtype == other.dtype && one.shape == other.shape, "\(name)")
      // GGUF holds Gemma's norms with 1 added, which costs float32 ones (not the usual bfloat16) their last bits.
      if a.layout == .huggingFace, a.architecture.hasPrefix("gemma"), name.contains("norm") {
        let count = one.shape.elementCount
        let (x, y) = (try a.floats(name, count: count), try b.floats(name, count: count))
        #expect(zip(x, y).allSatisfy { abs($0 - $1) < 2e-7 }, "\(name)")
        continue
      }
      #expect(try one.withBytes { one in try other.withBytes { one.elementsEqual($0) } }, "\(name)")
    }
  }

  /// The model's configuration in words, for comparison.
  private func configuration(of checkpoint: Checkpoint) throws -> String {
    "\(try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint).configuration)"
  }

  private func tokens(of checkpoint: Checkpoint, _ text: String) throws -> [Int32] {
    try Tokenizer(checkpoint.tokenizer()).encode(text, addingSpecialTokens: true)
  }

  // MARK: Against the reference

  @Test(
    "a folder becomes the file that the gguf package makes of it, tensors and metadata alike",
    arguments: [
      ("llama-tiny", "llama-tiny-F32", DType.float32), ("llama-tiny", "llama-tiny-BF16", .bfloat16),
      ("llama-tiny", "llama-tiny-Q8_0", .q8_0), ("llama-tiny", "llama-tiny-Q4_0", .q4_0),
      ("qwen3-tiny", "qwen3-tiny-F16", .float16), ("gpt2-tiny", "gpt2-tiny-Q8_0", .q8_0),
      ("qwen3_moe-tiny", "qwen3_moe-tiny-Q8_0", .q8_0), ("mixtral-tiny", "mixtral-tiny-Q8_0", .q8_0),
    ] + folders.filter { $0 != "llama-tiny" && $0 != "qwen3-tiny" }.map { ($0, $0 + "-F16", .float16) })
  func reference(_ name: String, _ file: String, _ type: DType) throws {
    let written = try convert(Goldens.path("models/\(name)"), to: "model.gguf", type)
    let golden = try Checkpoint.open(Goldens.path("models/\(name)/\(file).gguf"))
    try expectEqual(written, golden)
    // Hunyuan's converter says that nothing is stretched; and its base is rounded once more here.
    for member in golden.configuration.members
    where member.key != "general.name" && !(name.hasPrefix("hunyuan") && member.key.contains(".rope.")) {
      #expect(written.configuration[member.key] == member.value, "\(member.key)")
    }
  }

  @Test("the formats' rounding is the gguf package's", arguments: [DType.q4_0, .q4_1, .q5_0, .q5_1, .q8_0])
  func rounding(_ type: DType) throws {
    var builder = try SmallFile.gguf()
    let golden = try Checkpoint.open(Goldens.path("formats/quantized.gguf"))
    let values = try golden.tensor("f32").withBytes { Array($0) }
    builder.addTensor("f32", sizes: [256, 3], type: 0, bytes: values)
    try folder.write(builder.bytes, to: "plain.gguf")
    let written = try convert(folder("plain.gguf"), to: "rounded.gguf", type)
    let expected = try golden.tensor(type.name).withBytes { Array($0) }
    #expect(try written.tensor("f32").withBytes { Array($0) } == expected)
  }

  // MARK: There and back

  @Test("a folder that becomes a file and a folder again keeps every byte of its tensors", arguments: folders)
  func folderRoundTrip(_ name: String) throws {
    let source = Goldens.path("models/\(name)")
    let original = try Checkpoint.open(source)
    try convert(source, to: "model.gguf")
    let back = try convert(folder("model.gguf"), to: "folder")
    try expectEqual(original, back)
    #expect(try tokens(of: back, "Hello 42 <|im_end|>") == tokens(of: original, "Hello 42 <|im_end|>"))
    #expect(back.chatTemplate == original.chatTemplate && back.endTokens == original.endTokens)
    #expect(try configuration(of: back) == configuration(of: original))
    try expectEqual(try convert(folder("folder"), to: "again.gguf"), try Checkpoint.open(folder("model.gguf")))
  }

  @Test(
    "a file that becomes a folder and a file again keeps every byte of its tensors",
    arguments: ["llama-tiny/llama-tiny-F32", "llama-tiny/llama-tiny-BF16", "qwen3-tiny/qwen3-tiny-F16"])
  func fileRoundTrip(_ name: String) throws {
    let original = try Checkpoint.open(Goldens.path("models/\(name).gguf"))
    try convert(original.path, to: "folder")
    let back = try convert(folder("folder"), to: "model.gguf")
    try expectEqual(original, back)
    let prompt = try tokens(of: original, "The quick brown fox")
    #expect(try tokens(of: back, "The quick brown fox") == prompt)
    let (one, other) = (try engine(original), try engine(back))
    #expect(
      try one.logits(after: prompt, in: one.makeSequence()) == other.logits(after: prompt, in: other.makeSequence()))
  }

  @Test("16-bit folders keep their type: norms are narrowed again where that loses nothing")
  func sixteenBits() throws {
    let narrow = try convert(Goldens.path("models/llama-tiny"), to: "narrow", .bfloat16)
    #expect(narrow.tensors.values.allSatisfy { $0.dtype == .bfloat16 })
    #expect(narrow.configuration["torch_dtype"] == "bfloat16")
    try convert(folder("narrow"), to: "narrow.gguf")
    try expectEqual(narrow, try convert(folder("narrow.gguf"), to: "back"))
    // Norms that bfloat16 cannot hold stay as they are.
    let mixed = try convert(Goldens.path("models/llama-tiny/llama-tiny-BF16.gguf"), to: "mixed")
    #expect(Set(mixed.tensors.values.map(\.dtype)) == [.float32, .bfloat16])
  }

  @Test("quantised files become folders of exactly their values")
  func dequantized() throws {
    let original = try Checkpoint.open(Goldens.path("models/llama-tiny/llama-tiny-Q4_0.gguf"))
    let written = try convert(original.path, to: "folder")
    #expect(written.tensors.values.allSatisfy { $0.dtype == .float32 })
    let prompt = try tokens(of: original, "The quick brown fox")
    let (one, other) = (try engine(original), try engine(written))
    #expect(
      try one.logits(after: prompt, in: one.makeSequence()) == other.logits(after: prompt, in: other.makeSequence()))
  }

  @Test("a folder in shards holds the same tensors", arguments: folders)
  func shards(_ name: String) throws {
    let original = try Checkpoint.open(Goldens.path("models/\(name)"))
    try convert(original.path, to: "model.gguf")
    let sharded = try convert(folder("model.gguf"), to: "sharded", splitBytes: 50_000)
    #expect(folder.files(below: "sharded").filter { $0.hasSuffix(".safetensors") }.count > 2)
    try expectEqual(original, sharded)
  }

  @Test("the same layout in another type keeps names, metadata and small files")
  func sameLayout() throws {
    let original = try Checkpoint.open(Goldens.path("models/llama-tiny/llama-tiny-Q8_0.gguf"))
    let smaller = try convert(original.path, to: "smaller.gguf", .q4_1)
    #expect(smaller.tensorNames == original.tensorNames)
    #expect(try smaller.tensor("blk.0.ffn_up.weight").dtype == .q4_1)
    for member in original.configuration.members
    where !["general.file_type", "general.quantization_version"].contains(member.key) {
      #expect(smaller.configuration[member.key] == member.value, "\(member.key)")
    }
    let copy = try convert(Goldens.path("models/llama-tiny"), to: "half", .float16)
    #expect(copy.tensors.values.allSatisfy { $0.dtype == .float16 } && copy.configuration["torch_dtype"] == "float16")
    #expect(
      try tokens(of: copy, "one two") == tokens(of: Checkpoint.open(Goldens.path("models/llama-tiny")), "one two"))
  }

  @Test("a file in parts becomes one")
  func parts() throws {
    let original = try Checkpoint.open(Goldens.path("formats/split-00001-of-00003.gguf"))
    let whole = try convert(original.path, to: "whole.gguf")
    try expectEqual(original, whole)
    #expect(!whole.configuration.members.contains { $0.key.hasPrefix("split.") })
  }

  @Test("a file that is written in parts holds the same, and each part says which it is", arguments: folders)
  func writtenInParts(_ name: String) throws {
    let whole = try convert(Goldens.path("models/\(name)"), to: "whole.gguf")
    let split = try convert(Goldens.path("models/\(name)"), to: "model.gguf", splitBytes: 60_000)
    let parts = folder.files().filter { $0.hasPrefix("model-") }
    #expect(parts.count > 2 && parts.count < 100 && !folder.files().contains("model.gguf"))
    #expect(split.path == folder("model-00001-of-000\(parts.count < 10 ? "0" : "")\(parts.count).gguf"))
    try expectEqual(whole, split)
    #expect(split.tensorNames == whole.tensorNames)
    for member in whole.configuration.members { #expect(split.configuration[member.key] == member.value) }
    var header = Array(try TemporaryFolder.read(folder(parts[1])).prefix(100))
    // Magic, version, tensors, three keys: split.no, 16 bits wide as llama.cpp wants it, is 1.
    #expect(header[16] == 3)
    header.removeFirst(24)
    #expect(header.starts(with: [8, 0, 0, 0, 0, 0, 0, 0] + Array("split.no".utf8) + [2, 0, 0, 0, 1, 0]))
    // They replace one another only when asked, and one file where all fits.
    #expect(throws: CheckpointError.self) {
      try convert(Goldens.path("models/\(name)"), to: "model.gguf", splitBytes: 60_000)
    }
    #expect(try convert(Goldens.path("models/\(name)"), to: "one.gguf", splitBytes: 1 << 40).path == folder("one.gguf"))
  }

  @Test("more parts than anyone means are refused, and a stopped conversion leaves no part behind")
  func partsRefused() throws {
    #expect(throws: CheckpointError.self) {
      var sizes = [Int](repeating: 8, count: 501)
      sizes.append(0)
      _ = try GGUFWriter.paths(for: "a.gguf", sizes: sizes, splitBytes: 8)
    }
    let converter = ModelConverter(on: backend) { written, total in if written > total / 2 { throw Interrupted() } }
    var request = ModelConverter.Request(target: folder("a.gguf"), layout: .gguf)
    request.splitBytes = 60_000
    #expect(throws: Interrupted.self) {
      try converter.convert(Checkpoint.open(Goldens.path("models/llama-tiny")), request)
    }
    #expect(folder.files().isEmpty)
  }

  @Test(
    "rotary scalings keep their frequencies in both layouts",
    arguments: [
      "llama-tiny-linear", "llama-tiny-llama3", "llama-tiny-yarn", "llama-tiny-yarn-factors", "llama-tiny-longrope",
    ])
  func rotary(_ name: String) throws {
    let source = try withTokenizer(name)
    let original = try engine(Checkpoint.open(source))
    let file = try engine(convert(source, to: "model.gguf"))
    let back = try engine(convert(folder("model.gguf"), to: "back"))
    let prompt = (0..<96).map { Int32($0 % 250 + 3) }
    let expected = try original.logits(after: prompt, in: original.makeSequence())
    for other in [file, back] {
      let got = try other.logits(after: prompt, in: other.makeSequence())
      #expect(zip(got, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    }
  }

  @Test("LongRoPE on a part of each head keeps its divisors, lengths and attention factor in both layouts")
  func partialLongRope() throws {
    for attentionFactor in [JSONValue?.none, 1.25] {
      var configuration = try #require(Goldens.json("models/phi3-tiny/config.json").object)
      var scaling = JSONObject([("type", "longrope"), ("short_factor", [1.0, 1.3]), ("long_factor", [1.7, 5.5])])
      scaling["attention_factor"] = attentionFactor
      configuration["rope_scaling"] = .object(scaling)
      configuration["original_max_position_embeddings"] = 64
      configuration["sliding_window"] = .null
      try folder.write(Array(JSONValue.object(configuration).encoded().utf8), to: "source/config.json")
      for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        try folder.write(TemporaryFolder.read(Goldens.path("models/phi3-tiny/\(file)")), to: "source/\(file)")
      }
      let suffix = attentionFactor == nil ? "usual" : "own"
      let file = try convert(folder("source"), to: suffix + ".gguf")
      #expect(file.configuration["phi3.rope.dimension_count"] == 4)
      #expect(file.configuration["phi3.rope.scaling.original_context_length"] == 64)
      #expect(file.configuration["phi3.attention.sliding_window"] == 0)
      #expect(try file.floats("rope_factors_long.weight", count: 2) == [1.7, 5.5])
      let back = try convert(folder(suffix + ".gguf"), to: suffix)
      #expect(back.configuration["rope_scaling"]?.object == scaling)
      #expect(back.configuration["partial_rotary_factor"] == 0.5)
      #expect(try self.configuration(of: back) == self.configuration(of: Checkpoint.open(folder("source"))))
    }
  }

  /// A variant's folder with the base's tokenizer, which is also the variant's.
  private func withTokenizer(_ name: String) throws -> String {
    for file in ["config.json", "model.safetensors"] {
      let own = Goldens.path("models/\(name)/\(file)")
      let isOwn = Goldens.names(in: "models/\(name)").contains(file)
      try folder.write(
        TemporaryFolder.read(isOwn ? own : Goldens.path("models/llama-tiny/\(file)")), to: "source/\(file)")
    }
    for file in ["tokenizer.json", "tokenizer_config.json"] {
      try folder.write(TemporaryFolder.read(Goldens.path("models/llama-tiny/\(file)")), to: "source/\(file)")
    }
    return folder("source")
  }

  private func engine(_ checkpoint: Checkpoint) throws -> InferenceEngine {
    var options = EngineOptions()
    options.contextLength = 256
    return try makeEngine(checkpoint, on: backend, options: options)
  }

  // MARK: Refusals

  @Test("what cannot be represented is refused by name, and nothing is left behind")
  func refusals() throws {
    let tiny = Goldens.path("models/llama-tiny")
    #expect(refusal(try withTokenizer("llama-tiny-dynamic"), to: "a.gguf").contains("dynamic rotary scaling"))
    #expect(refusal(tiny, to: "a", .q8_0).contains("q8_0 cannot be written to safetensors"))
    #expect(refusal(tiny, to: "a.gguf", .q2_K).contains("q2_k cannot be written to GGUF"))
    #expect(refusal(tiny, to: "nowhere/a.gguf").contains("there is no folder"))
    #expect(refusal(Goldens.path("models/llama-tiny-wide-heads"), to: "a.gguf").contains("tokenizer.json"))
    #expect(refusal(Goldens.path("formats/quantized.gguf"), to: "a.gguf", .float32).contains("type I8"))
    #expect(folder.files().allSatisfy { $0.hasPrefix("source/") })
  }

  @Test(
    "what GGUF files of a family take for granted is refused where the model has it otherwise",
    arguments: [
      ("gemma2", "query_pre_attn_scalar", 24, "the root of 24"), ("gemma2", "hidden_activation", "gelu", "exact GELU"),
      ("gemma2", "attn_logit_softcapping", nil, "without caps"),
      ("gemma2", "final_logit_softcapping", nil, "without caps"),
      ("smollm3", "no_rope_layers", [1, 0, 1, 1], "every fourth"),
      ("olmo2", "rope_scaling", ["type": "dynamic", "factor": 2], "dynamic rotary scaling"),
      ("glm4", "rope_scaling", ["type": "dynamic", "factor": 2], "dynamic rotary scaling"),
    ] as [(String, String, JSONValue?, String)])
  func takenForGranted(_ family: String, _ key: String, _ value: JSONValue?, _ word: String) throws {
    let base = "models/\(family)-tiny/"
    var configuration = try #require(Goldens.json(base + "config.json").object)
    configuration[key] = value ?? .null
    try folder.write(Array(JSONValue.object(configuration).encoded().utf8), to: "source/config.json")
    for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try folder.write(TemporaryFolder.read(Goldens.path(base + file)), to: "source/\(file)")
    }
    let text = refusal(folder("source"), to: "a.gguf")
    #expect(text.contains(word), "\(text)")
    #expect(folder.files().allSatisfy { $0.hasPrefix("source/") })
  }

  @Test("values that a type cannot hold are refused, and nothing is left behind")
  func unrepresentable() throws {
    for (value, type, word) in [
      (Float(1e6), DType.float16, "bf16"), (1e6, .q8_0, "bf16"), (.infinity, .bfloat16, "f32"), (.nan, .q4_0, "f32"),
    ] {
      var builder = try SmallFile.gguf()
      builder.addTensor("m", sizes: [32, 2], values: [Float](repeating: 1, count: 63) + [value])
      try folder.write(builder.bytes, to: "source.gguf")
      let text = refusal(folder("source.gguf"), to: "a.gguf", type)
      #expect(text.contains("'m'") && text.contains("cannot hold") && text.contains(word), "\(text)")
      #expect(folder.files() == ["source.gguf"])
    }
    var builder = try SmallFile.gguf()
    builder.addTensor("m", sizes: [48, 1], values: [Float](repeating: 1, count: 48))
    try folder.write(builder.bytes, to: "source.gguf")
    #expect(refusal(folder("source.gguf"), to: "a.gguf", .q8_0).contains("not whole q8_0 blocks of 32"))
  }

  @Test("norms and biases in blocks are refused by name, not misread")
  func blockVectors() throws {
    let golden = try Checkpoint.open(Goldens.path("models/llama-tiny/llama-tiny-F32.gguf"))
    for name in ["output_norm.weight", "blk.0.attn_norm.weight"] {
      var builder = GGUFBuilder()
      for member in golden.configuration.members {
        switch member.value {
        case .string(let text): builder.add(member.key, text)
        case .integer(let value): builder.add(member.key, UInt32(value))
        case .number(let value): builder.addFloat(member.key, Float(value))
        default: continue
        }
      }
      for tensor in golden.tensorNames {
        let record = try golden.tensor(tensor)
        let sizes = record.shape.array.reversed().map { UInt64($0) }
        if tensor == name {
          builder.addTensor(tensor, sizes: sizes, type: 8, bytes: [UInt8](repeating: 0, count: 68))
        } else {
          builder.addTensor(tensor, sizes: sizes, type: 0, bytes: try record.withBytes { Array($0) })
        }
      }
      try folder.write(builder.bytes, to: "source.gguf")
      #expect(refusal(folder("source.gguf"), to: "a").contains("'\(name)', whose type q8_0 cannot be used"))
      // Within the layout nothing is interpreted, so it is copied.
      let copy = try convert(folder("source.gguf"), to: "copy\(name.count).gguf", .q4_0)
      #expect(try copy.tensor(name).dtype == .q8_0)
    }
  }

  @Test(
    "a damaged file becomes a model or one clear error, and never part of a model",
    arguments: ["llama-tiny-Q4_0", "qwen3_moe-tiny-Q8_0"])
  func damaged(_ file: String) throws {
    let base = file.split(separator: "-").dropLast().joined(separator: "-")
    let sound = try Goldens.bytes("models/\(base)/\(file).gguf")
    let header =
      try Checkpoint.open(Goldens.path("models/\(base)/\(file).gguf")).tensors.values
      .map(\.byteRange.lowerBound).min() ?? 0
    var random = SeededRandom(seed: 5)
    var (written, refused) = (0, 0)
    for _ in 0..<(Environment.current().runsAllTests ? 2000 : 120) {
      var bytes = sound
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let place = Int.random(in: 0..<header, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 2: for byte in place..<min(place + 8, header) { bytes[byte] = 0xFF }
        default: bytes.removeSubrange(place..<min(place + 9, header))
        }
      }
      try folder.write(bytes, to: "source.gguf")
      let target = Bool.random(using: &random) ? "target.gguf" : "target"
      do {
        let checkpoint = try Checkpoint.open(folder("source.gguf"))
        let layout: Checkpoint.Layout = target == "target" ? .huggingFace : .gguf
        var request = ModelConverter.Request(
          target: folder(target), layout: layout, matrixType: Bool.random(using: &random) ? .bfloat16 : nil)
        request.replaces = true
        _ = try ModelConverter(on: backend).convert(checkpoint, request)
        _ = try Checkpoint.open(folder(target))
        written += 1
      } catch {
        #expect(!"\(error)".contains("\n") && "\(error)".count < 1000)
        refused += 1
      }
      #expect(
        Set(folder.files().map { $0.prefix { $0 != "/" } }).isSubset(of: ["source.gguf", "target.gguf", "target"]))
    }
    #expect(written > 5 && refused > 5, "\(written) written, \(refused) refused")
  }

  @Test("a target is written over only when asked, and only where it is of its kind")
  func targets() throws {
    let tiny = Goldens.path("models/llama-tiny")
    try folder.write("kept".utf8, to: "a.gguf")
    #expect(refusal(tiny, to: "a.gguf").contains("--force replaces it"))
    #expect(try TemporaryFolder.read(folder("a.gguf")) == Array("kept".utf8))
    var request = ModelConverter.Request(target: folder("a.gguf"), layout: .gguf)
    request.replaces = true
    _ = try ModelConverter(on: backend).convert(Checkpoint.open(tiny), request)
    #expect(try Checkpoint.open(folder("a.gguf")).architecture == "llama")
    // Not over itself, nor over a folder of other things.
    #expect(throws: CheckpointError.self) {
      try ModelConverter(on: backend).convert(Checkpoint.open(folder("a.gguf")), request)
    }
    try folder.write("x".utf8, to: "letters/to.txt")
    var other = ModelConverter.Request(target: folder("letters"), layout: .huggingFace)
    other.replaces = true
    #expect(throws: CheckpointError.self) { try ModelConverter(on: backend).convert(Checkpoint.open(tiny), other) }
    #expect(folder.files() == ["a.gguf", "letters/to.txt"])
  }

  @Test("a conversion that is stopped leaves nothing behind", arguments: ["a.gguf", "a"])
  func stopped(_ name: String) throws {
    let layout: Checkpoint.Layout = name == "a" ? .huggingFace : .gguf
    let converter = ModelConverter(on: backend) { written, total in if written > total / 2 { throw Interrupted() } }
    let source = try Checkpoint.open(Goldens.path("models/llama-tiny"))
    #expect(throws: Interrupted.self) {
      try converter.convert(source, ModelConverter.Request(target: folder(name), layout: layout))
    }
    #expect(folder.files().isEmpty)
  }
}

/// A GGUF file that says no more than it must.
private enum SmallFile {
  static func gguf() throws -> GGUFBuilder {
    var builder = GGUFBuilder()
    builder.add("general.architecture", "any")
    return builder
  }
}
