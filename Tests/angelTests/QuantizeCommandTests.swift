import AngelCore
import AngelTesting
import Testing

@testable import angel

/// `angel quantize`, from a folder to a file that runs.
@Suite("Rounding to few bits")
struct QuantizeCommandTests {
  let program: ProgramRunner
  let folder: TemporaryFolder
  let model = Goldens.path("models/llama-tiny")

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
  }

  /// A text of some hundred tokens.
  private func text(_ name: String) throws -> String {
    let line = "The quick brown fox jumps over the lazy dog while 12 monkeys count to 3,456.\n"
    try folder.write(String(repeating: line, count: 12).utf8, to: name)
    return folder.path + "/" + name
  }

  @Test("gptq writes a file, says what each layer lost, and scores it")
  func gptq() throws {
    let (target, text) = (folder.path + "/small.gguf", try text("text.txt"))
    let words = [
      "quantize", model, target, "--method", "gptq", "--calibration", text, "--text", text, "--context", "64",
      "--threads", "1",
    ]
    let outcome = try program.run(words + ["--json"])
    #expect(outcome.code == .success, "\(outcome.errors)")
    let value = try outcome.json
    #expect(value["method"]?.string == "gptq" && value["type"]?.string == "q4_0" && value["path"]?.string == target)
    #expect(value["layers"]?.array?.count == 14)
    let (error, nearest) = (try #require(value["error"]?.double), try #require(value["nearest_error"]?.double))
    #expect(error > 0 && error < nearest)
    let (before, after) = (
      try #require(value["perplexity_before"]?.double), try #require(value["perplexity"]?.double)
    )
    let again = try program.run([
      "perplexity", target, text, "--context", "64", "--windows", "20", "--threads", "1", "--json",
    ]).json
    #expect(again["perplexity"]?.double == after)
    #expect(abs(after / before - 1) < 0.2)
    let refused = try program.run(words)
    #expect(refused.code == .failure && refused.errors.contains("--force replaces it"))
    let lines = try program.run(words + ["--force"]).output
    #expect(lines.contains("14 layers in q4_0 by gptq") && lines.contains("all, mean"))
  }

  @Test("What cannot be done is said before anything is read")
  func refusals() throws {
    let folderTarget = try program.run(["quantize", model, folder.path + "/out"])
    #expect(folderTarget.code == .usage && folderTarget.errors.contains("must end in .gguf"))
    let noText = try program.run(["quantize", model, folder.path + "/out.gguf"])
    #expect(noText.code == .usage && noText.errors.contains("--calibration FILE"))
    try folder.write("".utf8, to: "empty.txt")
    let empty = try program.run([
      "quantize", model, folder.path + "/out.gguf", "--calibration", folder.path + "/empty.txt", "--threads", "1",
    ])
    #expect(empty.code == .failure && empty.errors.contains("at least one window"))
    #expect(FilePath.kind(folder.path + "/out.gguf") == nil)
  }
}
