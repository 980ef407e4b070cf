import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelTesting

/// A golden folder in memory, `llama-tiny` unless another is named, to be changed and written again.
struct TinyModel {
  struct Entry {
    var type: String
    var shape: [Int]
    var bytes: [UInt8]

    init(_ type: String, _ shape: [Int], _ bytes: [UInt8]) {
      self.type = type
      self.shape = shape
      self.bytes = bytes
    }

    /// A float32 tensor.
    init(_ shape: [Int], _ values: [Float]) {
      self.init("F32", shape, values.flatMap { GGUFBuilder.number($0.bitPattern) })
    }
  }

  static let goldens = Goldens.path("models/llama-tiny")
  var configuration: JSONObject
  var tensors: [String: Entry]

  init(_ folder: String = goldens) throws {
    let checkpoint = try Checkpoint.open(folder)
    configuration = checkpoint.configuration
    tensors = try checkpoint.tensors.mapValues { record in
      Entry("F32", record.shape.array, try record.withBytes { Array($0) })
    }
  }

  /// Writes the model as a Hugging Face folder with the golden tokenizer.
  func folder() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.write(JSONValue.object(configuration).encoded().utf8, to: "config.json")
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
      try folder.link(Self.goldens + "/" + file, as: file)
    }
    var (header, data) = (JSONObject(), [UInt8]())
    for (name, entry) in tensors.sorted(by: { $0.key < $1.key }) {
      header[name] = [
        "dtype": .string(entry.type), "shape": .array(entry.shape.map { .integer($0) }),
        "data_offsets": [.integer(data.count), .integer(data.count + entry.bytes.count)],
      ]
      data += entry.bytes
    }
    let text = Array(JSONValue.object(header).encoded().utf8)
    try folder.write(GGUFBuilder.number(UInt64(text.count)) + text + data, to: "model.safetensors")
    return folder
  }

  /// The golden F32 file rebuilt, so that metadata and tensors can be added or left out; it has no tokenizer.
  static func gguf(contextLength: UInt32 = 256, without left: String? = nil) throws -> GGUFBuilder {
    let checkpoint = try Checkpoint.open(goldens + "/llama-tiny-F32.gguf")
    var builder = GGUFBuilder()
    builder.add("general.architecture", "llama")
    for key in [
      "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv", "feed_forward_length",
      "attention.key_length",
    ] {
      guard let value = checkpoint.configuration["llama." + key]?.integer else { continue }
      builder.add("llama." + key, UInt32(value))
    }
    builder.add("llama.context_length", contextLength)
    builder.addFloat("llama.attention.layer_norm_rms_epsilon", 1e-5)
    builder.addFloat("llama.rope.freq_base", 10_000)
    for name in checkpoint.tensorNames where name != left {
      let record = try checkpoint.tensor(name)
      try record.withBytes { bytes in
        builder.addTensor(
          name, sizes: record.shape.array.reversed().map { UInt64($0) }, type: 0, bytes: Array(bytes))
      }
    }
    return builder
  }
}

/// A session over the model at `path` with a small pool of its own.
func makeSession(
  _ path: String = TinyModel.goldens, threads: Int = 1, pool: PagePool? = nil, arithmetic: Arithmetic = .f32,
  _ change: (inout EngineOptions) -> Void = { _ in }
) throws -> LanguageModelSession {
  let backend = try CPUBackend(pool: pool ?? PagePool(budget: 64 << 20), threadCount: threads)
  var options = EngineOptions()
  options.cacheDType = arithmetic == .f32 ? .float32 : .float16
  change(&options)
  return try LanguageModelSession(
    Checkpoint.open(path), on: backend, pool: backend.pool, arithmetic: arithmetic, options: options)
}

/// An engine without a tokenizer.
func makeEngine(_ path: String, threads: Int = 1) throws -> InferenceEngine {
  let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: threads)
  let checkpoint = try Checkpoint.open(path)
  var options = EngineOptions()
  options.cacheDType = .float32
  let entry = try ModelCatalog.languageModel(for: checkpoint)
  var model = try entry.outline(checkpoint)
  try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
  return try InferenceEngine(model, on: backend, pool: backend.pool, options: options)
}

extension LanguageModelSession {
  /// A whole answer to tokens, in a sequence of its own.
  func answer(_ prompt: [Int32], _ sampling: SamplingParameters) throws -> GenerationResult {
    var pieces = ""
    let result = try generator.generate(from: prompt, in: engine.makeSequence(), sampling: sampling) { pieces += $0 }
    guard pieces == result.text else { throw TestingFailure("streamed '\(pieces)', answered '\(result.text)'") }
    return result
  }
}

extension SamplingParameters {
  /// Greedy, for at most `count` tokens.
  static func greedy(_ count: Int) -> SamplingParameters {
    var result = SamplingParameters.greedy
    result.maxTokens = count
    return result
  }
}

extension InferenceEngine {
  /// The logits after each of `tokens`, in a sequence of its own.
  func rows(_ tokens: [Int32]) throws -> [[Float]] {
    var rows: [[Float]] = []
    try allLogits(after: tokens, in: makeSequence()) { rows.append(Array($0)) }
    return rows
  }
}

extension JSONValue {
  /// A list of token ids.
  var tokens: [Int32]? { array?.compactMap { $0.integer.map(Int32.init) } }
}
