import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelTesting
import Testing

@testable import AngelHCF

/// Every family against Hugging Face transformers, in float32, on tiny checkpoints with random norms and biases.
@Suite("Models equal transformers")
struct ModelParityTests {
  /// The tiny checkpoints of Tests/Goldens/models: adding one there adds its tests here.
  static let folders = Goldens.names(in: "models").filter {
    $0.contains("-tiny") && Goldens.names(in: "models/\($0)").contains("golden.json")
  }
  static let foldersWithGGUF = folders.filter { Goldens.names(in: "models/\($0)").contains("gguf-golden.json") }

  @Test("logits at every position and greedy tokens", arguments: folders)
  func folder(_ name: String) throws {
    let golden = try Goldens.json("models/\(name)/golden.json")
    let engine = try makeEngine(Goldens.path("models/\(name)"))
    for length in ["short", "long"] {
      if let entry = golden[length] { try expect(engine, equals: entry, in: name) }
    }
  }

  @Test("the configuration as newer transformers writes it gives the same model", arguments: folders)
  func newerConfiguration(_ name: String) throws {
    let folder = Goldens.path("models/\(name)")
    guard let newer = try? Goldens.bytes("models/\(name)/config-transformers-5.json") else { return }
    let temporary = try TemporaryFolder()
    try temporary.write(newer, to: "config.json")
    try temporary.link(folder + "/model.safetensors", as: "model.safetensors")
    let golden = try #require(try Goldens.json("models/\(name)/golden.json")["short"])
    try expect(makeEngine(temporary.path), equals: golden, in: name)
  }

  @Test("GGUF files, against their own dequantised weights", arguments: foldersWithGGUF)
  func gguf(_ name: String) throws {
    let cases = try #require(try Goldens.json("models/\(name)/gguf-golden.json")["cases"]?.array)
    #expect(cases.count >= 2)
    for entry in cases {
      let file = try #require(entry["file"]?.string)
      let folder = entry["folder"]?.string ?? name
      try expect(makeEngine(Goldens.path("models/\(folder)/\(file)")), equals: entry, in: folder)
    }
  }

  private func expect(_ engine: InferenceEngine, equals golden: JSONValue, in folder: String) throws {
    let prompt = try #require(golden["prompt"]?.tokens)
    let file = try #require(golden["logits"]?["file"]?.string)
    let first = try #require(golden["logits"]?["firstPosition"]?.integer)
    let vocabularyStride = try #require(golden["logits"]?["vocabularyStride"]?.integer)
    let width = try #require(golden["logits"]?["shape"]?.array?[1].integer)
    let want = try Goldens.floats("models/\(folder)/\(file)")
    var position = 0
    try engine.allLogits(after: prompt, in: engine.makeSequence()) { logits in
      defer { position += 1 }
      guard position >= first else { return }
      let row = (position - first) * width
      let got = stride(from: 0, to: logits.count, by: vocabularyStride).map { logits[$0] }
      #expect(normalizedError(got, want[row..<(row + width)]) < 1e-4, "\(folder)/\(file), position \(position)")
    }
    #expect(position == prompt.count)

    // Whole passes, as the golden's: scalings that depend on the length differ from cached generation there.
    var tokens = prompt
    for expected in try #require(golden["greedy"]?.tokens) {
      let logits = try engine.logits(after: tokens, in: engine.makeSequence())
      let best = try #require(logits.indices.max { logits[$0] < logits[$1] })
      #expect(Int32(best) == expected, "\(folder)/\(file), token \(tokens.count)")
      tokens.append(expected)
    }
  }
}

@Suite("Models without arithmetic")
struct ModelShapeTests {
  /// The base checkpoint of each architecture, called `<architecture>-tiny`.
  static let bases = ModelCatalog.languageModels.keys.sorted().map { $0 + "-tiny" }

  @Test("every architecture of the catalog has a tiny checkpoint with goldens, in both layouts")
  func goldens() {
    for base in Self.bases { #expect(ModelParityTests.foldersWithGGUF.contains(base), "\(base)") }
  }

  @Test("every architecture of the catalog runs on the shapes-only backend", arguments: bases)
  func shapes(_ name: String) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/\(name)"))
    let backend = ShapesBackend()
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    let weights = try #require(backend.currentBytes[.weights])
    let packed = checkpoint.tensors.values.map { record in
      record.shape.rank == 2
        ? PackedMatrix.byteCount(dtype: record.dtype, columns: record.shape[0], depth: record.shape[1]) ?? 0
        : record.byteRange.count
    }
    #expect(weights == packed.reduce(0, +))
    ModelPlan.step(model, rows: 7, 64, .float16, nil, backend)
    #expect(backend.currentBytes[.weights] == weights)
    #expect(backend.currentBytes[.activations] == 0)
    let logitBytes = model.configuration.vocabularySize * 4
    #expect(try #require(backend.peakBytes[.activations]) >= logitBytes)
    #expect(backend.launches["paged_attention"] == model.configuration.cacheGeometry.layerCount)
  }

  @Test("the plan's activations and cache are what a real run takes", arguments: bases)
  func planned(_ name: String) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/\(name)"))
    var options = EngineOptions()
    options.contextLength = 64
    options.chunkLength = 32
    let plan = try ModelPlan(checkpoint, arithmetic: .f32, options: options)
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let session = try makeEngine(checkpoint, on: backend, options: options)
    _ = try session.logits(after: [Int32](repeating: 5, count: 63), in: session.makeSequence())
    #expect(backend.pool.usage[.weights].byteCount == plan.bytes[.weights])
    #expect(backend.pool.usage[.activations].peakByteCount <= plan.bytes[.activations] ?? 0)
    #expect(backend.pool.usage[.activations].byteCount == 0)
    // Steps of few rows are recorded and stay; a whole chunk runs beside them.
    let sequence = session.makeSequence()
    for count in [1, 2, 3, 4, 6, 8] { _ = try session.decode([Int32](repeating: 5, count: count), in: sequence) }
    _ = try session.logits(after: [Int32](repeating: 5, count: 32), in: sequence)
    for kind in [MemoryKind.activations, .workspace] {
      #expect(backend.pool.usage[kind].peakByteCount <= plan.bytes[kind] ?? 0, "\(kind)")
    }
    // Four blocks of 16 tokens, keys and values of two bytes an element.
    let geometry = session.model.configuration.cacheGeometry
    let elements = geometry.layerCount * geometry.keyValueHeadCount * geometry.headSize
    #expect(plan.bytes[.keyValueCache] == 4 * 16 * elements * 2 * 2)
  }

  @Test("every child of a model is visited", arguments: ModelParityTests.folders)
  func visited(_ name: String) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/\(name)"))
    let model = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint)
    let visited = Set(model.parameterShapes().map { ObjectIdentifier($0.parameter) })
    var missing: [String] = []
    func walk(_ value: Any, _ path: String) {
      if let parameter = value as? Parameter {
        if !visited.contains(ObjectIdentifier(parameter)) { missing.append(path) }
        return
      }
      for child in Mirror(reflecting: value).children { walk(child.value, path + "." + (child.label ?? "")) }
    }
    walk(model, name)
    #expect(missing == [])
    #expect(Set(model.sources(in: checkpoint)) == Set(checkpoint.weightNames))
  }

  @Test("the name table is two-way for every tensor of a file", arguments: ModelParityTests.folders)
  func names(_ name: String) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/\(name)"))
    let model = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint)
    let table = model.names
    for tensor in checkpoint.weightNames {
      let path = try #require(table.parameter(forTensor: tensor, in: .huggingFace))
      #expect(table.places(ofParameter: path, in: .huggingFace).contains { $0.name == tensor })
      let gguf = try #require(table.tensor(forParameter: path, in: .gguf)?.name)
      let entry = table.tensor(forParameter: path, in: .gguf)?.entry ?? 0
      #expect(table.parameter(forTensor: gguf, in: .gguf, entry: entry) == path)
    }
  }

  @Test("an unknown architecture is refused with the known ones")
  func unknownArchitecture() throws {
    let temporary = try TemporaryFolder()
    try temporary.write(Array(#"{"model_type": "mamba"}"#.utf8), to: "config.json")
    try temporary.link(Goldens.path("models/llama-tiny/model.safetensors"), as: "model.safetensors")
    let checkpoint = try Checkpoint.open(temporary.path)
    #expect(
      throws: ModelError.unknownArchitecture(
        "mamba", path: checkpoint.path, known: ModelCatalog.languageModels.keys.sorted())
    ) {
      try ModelCatalog.languageModel(for: checkpoint)
    }
  }
}

@Suite("The kernel contract, through whole models")
struct ModelContractTests {
  @Test("a token's logits are the same bits alone, in chunks of any size and on any number of threads")
  func batchInvariance() throws {
    for file in [
      "llama-tiny/llama-tiny-F32.gguf", "llama-tiny/llama-tiny-Q8_0.gguf", "llama-tiny/llama-tiny-Q4_0.gguf",
      "qwen3_moe-tiny/qwen3_moe-tiny-Q8_0.gguf", "hunyuan_v1_moe-tiny/hunyuan_v1_moe-tiny-F16.gguf",
      "gemma3_text-tiny/gemma3_text-tiny-fields-Q8_0.gguf", "gpt2-tiny/gpt2-tiny-Q8_0.gguf",
      "mistral-tiny/mistral-tiny-window-Q8_0.gguf",
    ] {
      for arithmetic in Arithmetic.allCases {
        var reference: [[Float]]?
        for (chunk, threads) in [(1, 1), (2, 2), (7, 1), (32, 2), (512, 3)] {
          var options = EngineOptions()
          options.chunkLength = chunk
          options.cacheDType = arithmetic == .f32 ? .float32 : .float16
          let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: threads)
          let engine = try makeEngine(
            Checkpoint.open(Goldens.path("models/\(file)")), on: backend, arithmetic: arithmetic, options: options)
          var rows: [[Float]] = []
          let prompt = (0..<48).map { Int32(($0 * 37 + 11) % 259) }
          try engine.allLogits(after: prompt, in: engine.makeSequence()) { rows.append(Array($0)) }
          if let reference {
            #expect(rows == reference, "\(file), \(arithmetic), chunks of \(chunk), \(threads) threads")
          }
          reference = reference ?? rows
        }
      }
    }
  }
}

@Suite("A recorded decode step")
struct RecordedStepTests {
  @Test(
    "replayed tokens have the bits of a whole pass, across blocks and sequences", arguments: [1, 2],
    [
      "llama-tiny/llama-tiny-Q4_0.gguf", "qwen3_moe-tiny/qwen3_moe-tiny-Q8_0.gguf", "hunyuan_v1_moe-tiny",
      "gemma3_text-tiny/gemma3_text-tiny-fields-Q8_0.gguf", "gpt2-tiny", "mistral-tiny",
    ])
  func replay(threads: Int, model: String) throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/" + model))
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: threads)
    let engine = try makeEngine(checkpoint, on: backend, arithmetic: .fast, options: EngineOptions())
    for run in 0..<3 {
      let prompt = (0..<48).map { Int32(($0 * 37 + 11 * run + 5) % 259) }
      var whole: [[Float]] = []
      try engine.allLogits(after: prompt, in: engine.makeSequence()) { whole.append(Array($0)) }
      let sequence = engine.makeSequence()
      // Another sequence takes blocks in between, so that the table is not the same at every run.
      let other = engine.makeSequence()
      _ = try engine.logits(after: Array(prompt[..<5]), in: sequence)
      _ = try engine.logits(after: prompt, in: other)
      for position in 5..<48 {
        #expect(try engine.logits(after: [prompt[position]], in: sequence) == whole[position], "token \(position)")
      }
    }
    #expect(backend.pool.usage[.activations].byteCount > 0, "the step keeps its memory")
  }

  @Test("a step's memory goes back with its engine")
  func released() throws {
    let checkpoint = try Checkpoint.open(Goldens.path("models/qwen3-tiny"))
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
    do {
      let engine = try makeEngine(checkpoint, on: backend, options: EngineOptions())
      let sequence = engine.makeSequence()
      for token in 3..<40 as Range<Int32> { _ = try engine.logits(after: [token], in: sequence) }
    }
    #expect(backend.pool.usage.byteCount == 0)
    try backend.pool.checkInvariants()
  }
}

/// An engine in float32 over the model at `path`.
func makeEngine(_ path: String) throws -> InferenceEngine {
  var options = EngineOptions()
  options.cacheDType = .float32
  let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 2)
  return try makeEngine(Checkpoint.open(path), on: backend, options: options)
}

func makeEngine(
  _ checkpoint: Checkpoint, on backend: CPUBackend, arithmetic: Arithmetic = .f32, options: EngineOptions
) throws -> InferenceEngine {
  let entry = try ModelCatalog.languageModel(for: checkpoint)
  var model = try entry.outline(checkpoint)
  try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: arithmetic))
  return try InferenceEngine(model, on: backend, pool: backend.pool, options: options)
}

extension LanguageModel {
  var names: NameTable { Self.names(for: configuration) }

  /// The tensors of a folder that the parameters are read from.
  fileprivate func sources(in checkpoint: Checkpoint) -> [String] {
    parameterShapes().flatMap { path, _ in
      names.places(ofParameter: path, in: checkpoint.layout).map(\.name).filter(checkpoint.contains).prefix(1)
    }
  }
}

extension Checkpoint {
  /// The names of what is trained: the first release of GPT-2 has its causal masks beside the weights.
  fileprivate var weightNames: [String] { tensorNames.filter { !$0.hasSuffix(".attn.bias") } }
}

extension JSONValue {
  /// A list of token ids.
  var tokens: [Int32]? { array?.compactMap { $0.integer.map(Int32.init) } }
}
