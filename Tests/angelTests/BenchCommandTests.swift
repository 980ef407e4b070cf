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
    (["bench", "inference", "x", "--batch", "1,8"], "--batch other than 1 is not there yet"),
    (["bench", "inference", "--shape", "llama-9b"], "--shape must be smollm2-135m or llama-1b, not 'llama-9b'"),
    (["bench", "tokenizer"], "MODEL is missing"), (["bench", "tokenizer", "x", "y"], "unexpected argument 'y'"),
    (["bench", "kernels", "x"], "unexpected argument 'x'"),
  ]

  @Test("refuses by name what does not go together", arguments: refusals)
  func refusal(words: [String], part: String) throws {
    let outcome = try ProgramRunner(TemporaryFolder()).run(words)
    #expect(outcome.code == .usage && outcome.errors.contains(part), "\(words): \(outcome.errors)")
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
