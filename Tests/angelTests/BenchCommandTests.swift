import AngelCore
import AngelTesting
import Testing

@testable import angel

@Suite("angel bench")
struct BenchCommandTests {
  static let refusals: [(words: [String], part: String)] = [
    (["bench", "inference"], "MODEL or --shape is missing"),
    (["bench", "inference", "x", "--shape", "llama-1b"], "--shape takes the place of MODEL 'x'"),
    (["bench", "inference", "x", "--format", "q8_0"], "--format goes with --shape"),
    (["bench", "inference", "x", "--batch", "1,0"], "--batch must be"),
    (["bench", "inference", "--shape", "llama-9b"], "--shape must be smollm2-135m or llama-1b, not 'llama-9b'"),
    (["bench", "tokenizer"], "MODEL is missing"), (["bench", "tokenizer", "x", "y"], "unexpected argument 'y'"),
    (["bench", "kernels", "x"], "unexpected argument 'x'"),
    (["bench", "attention", "x"], "unexpected argument 'x'"),
  ]

  @Test("refuses by name what does not go together", arguments: refusals)
  func refusal(words: [String], part: String) throws {
    let outcome = try ProgramRunner(TemporaryFolder()).run(words)
    #expect(outcome.code == .usage && outcome.errors.contains(part), "\(words): \(outcome.errors)")
  }

  @Test("measures requests at once, each batch a row")
  func batches() throws {
    let model = Goldens.path("models/qwen3-tiny")
    let words = ["bench", "inference", model, "--tests", "none", "--batch", "1,3", "--repetitions", "2", "--json"]
    let outcome = try ProgramRunner(TemporaryFolder()).run(words)
    let rows = try #require(try outcome.json["rows"]?.array)
    #expect(rows.map { $0["test"] } == ["batch", "batch"] && rows.map { $0["batch"] } == [1, 3])
    #expect(rows.map { $0["tokens"] } == [96, 288])
    for row in rows {
      #expect((row["tokens_per_second"]?.double ?? 0) > 0 && (row["tokens_per_cpu_second"]?.double ?? 0) > 0)
      #expect((0...1).contains(row["scheduling_share"]?.double ?? -1))
    }
  }

  @Test("a tokenizer's row has its start and its speeds", .enabled(if: Environment.current().runsAllTests))
  func tokenizer() throws {
    let words = ["bench", "tokenizer", Goldens.path("models/llama-tiny"), "--repetitions", "1", "--json"]
    let row = try ProgramRunner(TemporaryFolder()).run(words).json
    #expect(row["bytes"]?.integer ?? 0 >= 1_000_000 && row["tokens"]?.integer ?? 0 > 100_000)
    for key in ["ready_ms", "encode_mb_per_cpu_second", "decode_mb_per_cpu_second"] {
      #expect(row[key]?.double ?? -1 > 0, "\(key)")
    }
  }
}
