import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelMemory
import AngelModels
import AngelTesting
import Glibc
import Testing

/// Damaged model files, opened, planned, loaded and run for one step: an answer or a clear error, never more.
@Suite("Damaged checkpoints")
struct CheckpointMutationTests {
  private let folder: TemporaryFolder
  /// For a GGUF file and for a folder; a quarter for each further family.
  private let caseCount = Environment.current().runsAllTests ? 10_000 : 1000

  init() throws { folder = try TemporaryFolder() }

  @Test("a GGUF file with a damaged header gives a result or one clear line")
  func gguf() throws {
    let sound = try Goldens.bytes("models/llama-tiny/llama-tiny-Q4_0.gguf")
    let header = sound.count - 0x8000
    var random = SeededRandom(seed: 11)
    let outcome = try survey(caseCount) { mutated in
      mutated = sound
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<header, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: mutated[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: mutated[place] = UInt8.random(in: 0...255, using: &random)
        case 2: for byte in place..<min(place + 8, header) { mutated[byte] = 0xFF }
        case 3: for byte in place..<min(place + 4, header) { mutated[byte] = 0 }
        case 4: mutated.insert(UInt8.random(in: 0...255, using: &random), at: place)
        default: mutated.removeSubrange(place..<min(place + Int.random(in: 1...16, using: &random), header))
        }
      }
      if Int.random(in: 0..<16, using: &random) == 0 {
        mutated.removeLast(Int.random(in: 0..<mutated.count, using: &random))
      }
      return try folder.write(mutated, to: "model.gguf")
    }
    // Both happen often, or the test would show nothing.
    #expect(outcome.results > caseCount / 20 && outcome.errors > caseCount / 4)
  }

  @Test(
    "a folder with damaged values in config.json gives a result or one clear line",
    arguments: ModelCatalog.languageModels.keys.sorted())
  func configuration(of family: String) throws {
    for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try folder.link(Goldens.path("models/\(family)-tiny/\(name)"), as: name)
    }
    let sound = try #require(Goldens.json("models/\(family)-tiny/config.json").object)
    let values: [JSONValue] = [
      .null, .bool(true), .bool(false), .string(""), .string("llama"), .string("yarn"), .array([]), .object(.init()),
      .array([.integer(2), .string("x")]), .number(0.5), .number(-1e308), .number(1e308), .integer(.max),
      .integer(.min), .object(JSONObject([("rope_type", "yarn"), ("factor", 0)])),
      .object(JSONObject([("rope_type", "dynamic"), ("factor", 1e30)])),
      .object(JSONObject([("rope_type", "llama3"), ("factor", 8), ("low_freq_factor", 1), ("high_freq_factor", 1)])),
      .object(JSONObject([("rope_type", "longrope"), ("short_factor", [1]), ("long_factor", [])])),
    ]
    var random = SeededRandom(seed: 12)
    let keys = sound.members.map(\.key) + ["rope_parameters", "original_max_position_embeddings", "layer_types"]
    let caseCount = family == "llama" ? caseCount : caseCount / 4
    let outcome = try survey(caseCount) { mutated in
      var object = sound
      for _ in 0..<Int.random(in: 1...2, using: &random) {
        let key = keys[Int.random(in: 0..<keys.count, using: &random)]
        let value = values[Int.random(in: 0..<values.count, using: &random)]
        let small = JSONValue.integer(Int.random(in: -2...300, using: &random))
        object[key] = Bool.random(using: &random) ? value : small
      }
      var bytes = Array(JSONValue.object(object).encoded().utf8)
      if Int.random(in: 0..<10, using: &random) == 0 {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      mutated = bytes
      try folder.write(bytes, to: "config.json")
      return folder.path
    }
    #expect(outcome.results > caseCount / 20 && outcome.errors > caseCount / 4)
  }

  /// Runs every case over one small pool, and holds errors to one line and memory to half a gigabyte.
  private func survey(
    _ caseCount: Int, _ makeCase: (inout [UInt8]) throws -> String
  ) throws -> (results: Int, errors: Int) {
    let backend = try CPUBackend(pool: PagePool(budget: 64 << 20), threadCount: 1)
    let before = Self.peakBytes
    var (results, errors) = (0, 0)
    var bytes: [UInt8] = []
    for index in 0..<caseCount {
      let path = try makeCase(&bytes)
      do {
        try step(path, backend)
        results += 1
      } catch let error as any DescribedError {
        errors += 1
        let text = "\(error)"
        if text.isEmpty || text.count > 2000 { Issue.record("case \(index): \(text)") }
      } catch {
        Issue.record("case \(index): \(error)")
      }
    }
    #expect(Self.peakBytes - before < 512 << 20)
    #expect(backend.pool.usage.byteCount == 0)
    return (results, errors)
  }

  private func step(_ path: String, _ backend: CPUBackend) throws {
    let checkpoint = try Checkpoint.open(path)
    _ = checkpoint.dimensions
    let session = try LanguageModelSession(checkpoint, on: backend, pool: backend.pool)
    let count = Int32(session.engine.vocabularySize)
    let logits = try session.engine.logits(after: [0, 1 % count, 2 % count], in: session.engine.makeSequence())
    #expect(logits.count == Int(count))
    _ = try? session.promptTokens(for: "A short text, 你好!")
  }

  private static var peakBytes: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_maxrss) * 1024
  }
}
