import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelTensor
import AngelTesting
import Testing

/// Folders as GPTQ, AWQ and compressed-tensors leave them, against the logits of their weights by transformers
/// (`Scripts/goldens/quantised_folders.py`).
@Suite("Quantised folders")
struct QuantisedFolderTests {
  static let folders = Goldens.names(in: "quantised").filter { $0 != "versions.json" }
  /// What the matrices of each folder are to be held in.
  static let types: [String: DType] = [
    "awq": .q5_0, "awq-symmetric": .q4_0, "float8": .float16, "float8-tensor": .float16, "gptq-asym4": .q5_0,
    "gptq-asym8": .float16, "gptq-float32": .float32, "gptq-order": .float16, "gptq-sym2": .q4_0, "gptq-sym4": .q4_0,
    "gptq-sym8": .q8_0, "gptq-v2-asym3": .q4_0, "gptq-v2-asym4": .q5_0, "int8": .q8_0, "packed-asym4": .q5_0,
    "packed-channel8": .q8_0, "packed-order": .float16, "packed-sym4": .q4_0,
  ]

  let folder: TemporaryFolder
  let backend: CPUBackend

  init() throws {
    folder = try TemporaryFolder()
    backend = try CPUBackend(threadCount: 2)
  }

  private func path(_ name: String) -> String { Goldens.path("quantised/\(name)") }

  private func isLayer(_ name: String) -> Bool { name.contains("_proj.weight") }

  @Test("every kind of folder has its goldens")
  func kinds() { #expect(Set(Self.folders) == Set(Self.types.keys)) }

  @Test("logits are those of the weights", arguments: folders)
  func logits(_ name: String) throws {
    try expectGolden(makeEngine(path(name)), name)
    let checkpoint = try Checkpoint.open(path(name))
    let type = try #require(Self.types[name])
    for tensor in checkpoint.tensorNames where isLayer(tensor) {
      #expect(try checkpoint.tensor(tensor).dtype == type, "\(tensor)")
    }
    let forms = try #require(checkpoint.card.quantization?.forms)
    #expect(forms.map(\.type) == [type.name] && forms.first?.tensors == 14)
    #expect((forms.first?.reason == nil) == type.isQuantized)
    // Of a model of the same sizes: an embedding and a head of 264 x 64, five norms of 64, two layers.
    #expect(checkpoint.card.parameterCount == 2 * 264 * 64 + 5 * 64 + 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128))
    #expect(checkpoint.configuration["quantization_config"] == nil)
  }

  @Test("as a GGUF file they keep every value", arguments: folders)
  func file(_ name: String) throws {
    let written = try convert(path(name), to: "model.gguf")
    let types = Set(written.tensors.values.filter { $0.shape.rank == 2 }.map(\.dtype))
    #expect(types == [.float16, try #require(Self.types[name])])
    try expectGolden(makeEngine(written.path), name)
  }

  @Test(
    "as a plain folder they keep every value, and say no more of what they were",
    arguments: ["gptq-asym4", "awq", "packed-order", "int8"])
  func plain(_ name: String) throws {
    let written = try convert(path(name), to: "plain")
    #expect(written.card.quantization == nil && written.configuration["torch_dtype"] == "float32")
    #expect(written.tensorNames.contains("model.layers.0.mlp.up_proj.weight"))
    try expectGolden(makeEngine(written.path), name)
  }

  @Test(
    "what is packed for compressed-tensors is read again with the same bits",
    arguments: [
      ("models/llama-tiny/llama-tiny-Q4_0.gguf", DType.q4_0), ("models/llama-tiny/llama-tiny-Q8_0.gguf", .q8_0),
      ("quantised/gptq-sym4", .q4_0), ("models/qwen3-tiny", .q4_0),
    ])
  func packed(_ source: String, _ type: DType) throws {
    let original = try Checkpoint.open(Goldens.path(source))
    let written = try convert(original.path, to: "packed", source.hasSuffix("tiny") ? type : nil, packsLayers: true)
    let layers = written.tensorNames.filter(isLayer)
    #expect(layers.count == 14 && written.card.quantization?.forms.map(\.type) == [type.name])
    for name in layers { #expect(try written.tensor(name).dtype == type) }
    #expect(written.unsupportedTensors.isEmpty)
    // Through a GGUF file, whose rows are in an order of its own.
    let through = try convert(written.path, to: "through.gguf")
    let direct = try convert(original.path, to: "direct.gguf", source.hasSuffix("tiny") ? type : nil)
    for name in direct.tensorNames where name.contains("blk") && name.hasSuffix("weight") {
      let (one, other) = (try through.tensor(name), try direct.tensor(name))
      #expect(one.dtype == other.dtype, "\(name)")
      #expect(try one.withBytes { one in try other.withBytes { one.elementsEqual($0) } }, "\(name)")
    }
  }

  @Test(
    "words and shapes are those that compressed-tensors packs itself", arguments: ["packed-sym4", "packed-channel8"])
  func package(_ name: String) throws {
    try convert(convert(path(name), to: "model.gguf").path, to: "packed", packsLayers: true)
    let (ours, theirs) = (try parts(of: folder("packed")), try parts(of: path(name)))
    let names = theirs.keys.filter { $0.hasSuffix("_packed") || $0.hasSuffix("_shape") }
    #expect(names.count == 28)
    for name in names { #expect(ours[name] == theirs[name], "\(name)") }
  }

  @Test("layers of other types are packed only when a type is named, and only in 4 or 8 bits")
  func refusals() throws {
    let plain = Goldens.path("models/llama-tiny")
    #expect(refusal(plain, nil).contains("is f32; choose q4_0 or q8_0 with --type"))
    #expect(refusal(plain, .q5_1).contains("q5_1 cannot be written for compressed-tensors; possible: q4_0, q8_0"))
    #expect(refusal(Goldens.path("models/gpt2-tiny"), .q8_0).contains("none that transformers calls linear"))
  }

  @Test("a plan for a quantised folder counts what loading takes, without unpacking", arguments: ["gptq-sym4", "awq"])
  func plan(_ name: String) throws {
    var options = EngineOptions()
    options.contextLength = 64
    let checkpoint = try Checkpoint.open(path(name))
    let plan = try ModelPlan(checkpoint, arithmetic: .f32, options: options)
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let engine = try makeEngine(checkpoint, on: backend, options: options)
    withExtendedLifetime(engine) { #expect(backend.pool.usage[.weights].byteCount == plan.bytes[.weights]) }
  }

  // MARK: Kit

  /// The bytes of every tensor in a folder's file.
  private func parts(of folder: String) throws -> [String: [UInt8]] {
    let file = try SafetensorsFile(path: folder + "/model.safetensors")
    return try Dictionary(
      uniqueKeysWithValues: file.header.tensors.map { tensor in
        (tensor.name, try file.file.withBytes(tensor.byteRange) { Array($0) })
      })
  }

  @discardableResult
  private func convert(
    _ source: String, to name: String, _ type: DType? = nil, packsLayers: Bool = false
  ) throws -> Checkpoint {
    let layout: Checkpoint.Layout = name.hasSuffix(".gguf") ? .gguf : .huggingFace
    var request = ModelConverter.Request(target: folder(name), layout: layout, matrixType: type)
    request.packsLayers = packsLayers
    return try Checkpoint.open(ModelConverter(on: backend).convert(Checkpoint.open(source), request).path)
  }

  private func refusal(_ source: String, _ type: DType?) -> String {
    do {
      _ = try convert(source, to: "refused", type, packsLayers: true)
      return "nothing"
    } catch { return "\(error)" }
  }

  private func expectGolden(_ engine: InferenceEngine, _ name: String) throws {
    let golden = try #require(try Goldens.json("quantised/\(name)/golden.json")["short"])
    let prompt = try #require(golden["prompt"]?.tokens)
    let first = try #require(golden["logits"]?["firstPosition"]?.integer)
    let want = try Goldens.floats("quantised/\(name)/logits.bin")
    var position = 0
    try engine.allLogits(after: prompt, in: engine.makeSequence()) { logits in
      defer { position += 1 }
      guard position >= first else { return }
      let row = (position - first) * logits.count
      #expect(normalizedError(Array(logits), want[row..<row + logits.count]) < 1e-4, "\(name), position \(position)")
    }
    #expect(position == prompt.count && want.count == (position - first) * 264)
  }
}
