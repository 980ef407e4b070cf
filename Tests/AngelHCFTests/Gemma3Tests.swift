import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelTesting
import Glibc
import Testing

/// The real Gemma 3 270M against transformers on its dequantised weights (Tests/Goldens/models/README.md).
///
/// Runs where the model is in the store or `ANGEL_GEMMA3` names its Q4_K_M file; measured values go to standard error.
@Suite("Gemma 3 equals transformers", .enabled(if: Gemma3.path != nil, Gemma3.notice), .serialized)
struct Gemma3Tests {
  @Test(
    "float32: logits of two prompts, one longer than the window of local layers, and 32 greedy tokens of every prompt")
  func float32() throws {
    let engine = try Gemma3.engine(.f32)
    var worst = 0.0
    for prompt in try #require(try Goldens.json("models/gemma3/golden.json")["prompts"]?.array) {
      let tokens = try #require(prompt["tokens"]?.tokens)
      let greedy = try #require(prompt["greedy"]?.tokens)
      let sequence = engine.makeSequence()
      if let logits = prompt["logits"] {
        worst = max(worst, try largestError(engine, sequence, tokens, logits))
      } else {
        _ = try engine.logits(after: Array(tokens.dropLast()), in: sequence)
      }
      sequence.truncate(to: tokens.count - 1)
      #expect(try engine.greedy(greedy.count, after: tokens[tokens.count - 1], in: sequence) == greedy)
    }
    #expect(worst < 1e-4)
    Gemma3.report("largest relative error of float32 logits: \(worst)")
  }

  @Test("fast: the 32 greedy tokens of the long prompt, whose best two logits are never nearer than 0.4")
  func fast() throws {
    let engine = try Gemma3.engine(.fast)
    let prompts = try #require(try Goldens.json("models/gemma3/golden.json")["prompts"]?.array)
    let long = try #require(prompts.first { $0["name"] == "long" })
    let (tokens, greedy) = (try #require(long["tokens"]?.tokens), try #require(long["greedy"]?.tokens))
    let sequence = engine.makeSequence()
    _ = try engine.logits(after: Array(tokens.dropLast()), in: sequence)
    #expect(try engine.greedy(greedy.count, after: tokens[tokens.count - 1], in: sequence) == greedy)
  }

  /// The largest relative error over the positions that the golden holds.
  private func largestError(
    _ engine: InferenceEngine, _ sequence: CachedSequence, _ tokens: [Int32], _ golden: JSONValue
  ) throws -> Double {
    let file = try #require(golden["file"]?.string)
    let first = try #require(golden["firstPosition"]?.integer)
    let step = try #require(golden["vocabularyStride"]?.integer)
    let width = try #require(golden["shape"]?.array?[1].integer)
    let want = try Goldens.floats("models/gemma3/\(file)")
    if first > 0 { _ = try engine.logits(after: Array(tokens[..<first]), in: sequence) }
    var (row, worst) = (0, 0.0)
    try engine.allLogits(after: Array(tokens[first...]), in: sequence) { logits in
      let got = stride(from: 0, to: logits.count, by: step).map { logits[$0] }
      worst = max(worst, normalizedError(got, want[(row * width)..<((row + 1) * width)]))
      row += 1
    }
    return worst
  }
}

extension InferenceEngine {
  /// The `count` best continuations, one by one, after one more token.
  fileprivate func greedy(_ count: Int, after token: Int32, in sequence: CachedSequence) throws -> [Int32] {
    var (token, chosen) = (token, [Int32]())
    for _ in 0..<count {
      let logits = try logits(after: [token], in: sequence)
      token = Int32(logits.indices.max { logits[$0] < logits[$1] } ?? 0)
      chosen.append(token)
    }
    return chosen
  }
}

enum Gemma3 {
  static let notice: Comment = "needs the model: angel pull gemma3, or ANGEL_GEMMA3=FILE"

  static let path: String? = {
    let environment = Environment.current()
    if let path = environment.gemma3Path { return path }
    return (try? ModelStore(environment: environment).stored("gemma3"))?.path
  }()

  static func engine(_ arithmetic: Arithmetic) throws -> InferenceEngine {
    let backend = try CPUBackend(pool: PagePool(budget: 1 << 30))
    let checkpoint = try Checkpoint.open(#require(path))
    var options = EngineOptions()
    options.cacheDType = arithmetic == .f32 ? .float32 : .float16
    options.contextLength = 1024
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: arithmetic))
    return try InferenceEngine(model, on: backend, pool: backend.pool, options: options)
  }

  /// A measured value, for the reader of the test's output.
  static func report(_ text: String) {
    let line = Array("Gemma 3: \(text)\n".utf8)
    _ = write(2, line, line.count)
  }
}
