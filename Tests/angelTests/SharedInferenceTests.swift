import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelDistributed
import AngelHCF
import AngelMemory
import AngelModels
import AngelNN
import AngelTesting
import Synchronization
import Testing

@testable import angel

/// A model of which several threads, each a process of its own, have a part of every layer.
@Suite("Inference on several processes") struct SharedInferenceTests {
  private static let prompt: [Int32] = (0..<21).map { ($0 * 37) % 60 + 3 }

  /// The logits after the prompt and after each of a few more tokens, of every process; one where there are no peers.
  private func logits(_ path: String, processes: Int, arithmetic: Arithmetic = .f32) throws -> [[[Float]]] {
    let members = ThreadGroup.members(processes, timeout: 100)
    let results = Mutex<[Int: [[Float]]]>([:])
    let failure = Mutex<(any Error)?>(nil)
    try DedicatedThread.run(processes) { rank in
      do {
        let peers = processes > 1 ? GroupPeers(members[rank]) : nil
        let found = try Self.logits(path, peers, arithmetic)
        results.withLock { $0[rank] = found }
      } catch {
        failure.withLock { if $0 == nil { $0 = error } }
        members[rank].leave("\(error)")
      }
    }
    if let error = failure.withLock({ $0 }) { throw error }
    return results.withLock { results in results.sorted { $0.key < $1.key }.map(\.value) }
  }

  private static func logits(
    _ path: String, _ peers: (any LayerPeers)?, _ arithmetic: Arithmetic
  ) throws -> [[Float]] {
    let checkpoint = try Checkpoint.open(path)
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: arithmetic, peers: peers))
    var options = EngineOptions()
    (options.contextLength, options.chunkLength, options.cacheDType) = (32, 8, .float32)
    options.peers = peers
    let engine = try InferenceEngine(model, on: backend, pool: backend.pool, options: options)
    let sequence = engine.makeSequence()
    return try [engine.logits(after: prompt, in: sequence)]
      + (0..<4).map { try engine.logits(after: [Int32($0 + 7)], in: sequence) }
  }

  private static let folders: [String: String] = ["gemma3_text": "gemma3_text-tiny-scaled"]

  @Test(
    "two processes give the logits of one, and both the same bits, for every family whose plan says how",
    arguments: ModelCatalog.languageModels.keys.sorted())
  func families(_ family: String) throws {
    let path = Goldens.path("models/" + (Self.folders[family] ?? family + "-tiny"))
    guard family != "olmo2" else {
      let error = #expect(throws: ModelError.self) { try logits(path, processes: 2) }
      #expect(error?.description.contains("of this family cannot be shared out yet; start another number") == true)
      return
    }
    let one = try logits(path, processes: 1)[0]
    let two = try logits(path, processes: 2)
    #expect(two.count == 2 && two[0] == two[1])
    for (found, expected) in zip(two[0], one) { #expect(normalizedError(found, expected) < 2e-5) }
  }

  @Test("weights in blocks are cut where blocks end, rows in the file's order", arguments: ["q8_0", "q4_0"])
  func blocks(_ type: String) throws {
    let folder = try TemporaryFolder()
    let (files, program) = (try TrainingFiles(folder), ProgramRunner(folder))
    let settings = ["training.steps=1", "architecture.width=128", "architecture.inner=192", "architecture.heads=4"]
    #expect(try program.run(["train", files.recipe] + settings).code == .success)
    let path = folder("model.gguf")
    let command = ["quantize", folder("run/model"), path, "--method", "nearest", "--type", type]
    let quantized = try program.run(command)
    #expect(quantized.code == .success, "\(quantized.errors)")
    // In float32 arithmetic sums alone differ; where inputs are rounded to 8 bits, that may tip one over.
    for (arithmetic, bound) in [(Arithmetic.f32, 2e-5), (.fast, 2e-2)] {
      let one = try logits(path, processes: 1, arithmetic: arithmetic)[0]
      let two = try logits(path, processes: 2, arithmetic: arithmetic)
      for (found, expected) in zip(two[0], one) { #expect(normalizedError(found, expected) < bound) }
    }
    #expect(throws: CheckpointError.self) {
      try logits(Goldens.path("models/llama-tiny/llama-tiny-Q8_0.gguf"), processes: 2)
    }
  }
}
