import AngelCore
import AngelPTM
import AngelTesting
import Testing

@testable import angel

@Suite("angel doctor, and the dial") struct DoctorCommandTests {
  let folder: TemporaryFolder
  let program: ProgramRunner
  let files: TrainingFiles

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
    files = try TrainingFiles(folder)
  }

  @Test("a healthy recipe: a line a check with its time, learnt tokens in brackets, nothing written")
  func healthy() throws {
    let result = try program.run(["doctor", files.recipe])
    #expect(result.code == .success, "\(result.errors)\(result.output)")
    for text in [
      "row 1, learnt tokens in ⟦⟧:", "⟦", "passed   vocabulary range: tokens ", "passed   accumulation: 1 x ",
      "passed   packing: ", "passed   save, load, resume: ", "skipped  merged adapter: no adapters are trained  (",
      " failed; ",
    ] {
      #expect(result.output.contains(text), "\(text) in \(result.output)")
    }
    #expect(FilePath.kind(folder("run")) == nil)
  }

  @Test("a recipe that cannot fit fails with 1; with --json each check is an object")
  func sick() throws {
    let result = try program.run(["doctor", files.recipe, "--json", "--memory", "64MiB", "batch_size=4000"])
    #expect(result.code == .failure && result.errors.contains("1 check has failed"), "\(result.errors)")
    let lines = try result.output.split(separator: "\n").map { try JSONValue(parsing: Array($0.utf8)) }
    let memory = try #require(lines.first { $0["check"] == "worst-case memory" })
    #expect(memory["outcome"] == "failed" && memory["remedy"]?.string?.contains("lower batch_size") == true)
    #expect(lines.contains { $0["check"] == "accumulation" && $0["outcome"] == "passed" })
  }

  @Test("one dial gives a whole recipe, each value with its rule")
  func dial() throws {
    let text = "depth: 2\ntokenizer: character\ndata: {train: [\(folder("data.txt"))]}\n"
    let recipe = try folder.write(text.utf8, to: "dial.yaml")
    let result = try program.run(["train", recipe, "--dry-run", "architecture.width=64"])
    #expect(result.code == .success, "\(result.errors)")
    for text in ["derived", "architecture.layers", "arXiv:2401.02954", "20 a parameter", "width: 64  #"] {
      #expect(result.output.contains(text), "\(text) in \(result.output)")
    }
    #expect(!result.output.contains("64 a layer"))
  }
}
