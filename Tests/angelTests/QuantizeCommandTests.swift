import AngelCheckpoint
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

  @Test("--prune makes zeros that the file names, memory leaves out, and the report warns of")
  func prune() throws {
    let (target, text) = (folder.path + "/sparse.gguf", try text("text.txt"))
    let words = [
      "quantize", model, target, "--prune", "wanda", "--method", "gptq", "--type", "q8_0", "--calibration", text,
      "--text",
      text, "--context", "64", "--threads", "1",
    ]
    let outcome = try program.run(words)
    #expect(outcome.code == .success, "\(outcome.errors)")
    #expect(outcome.output.contains("14 layers in q8_0 by gptq"))
    #expect(outcome.output.contains("Two of every four weights of these are zero by wanda: in memory they take"))
    #expect(outcome.output.contains("BY MAGNITUDE"))
    let shown = try program.run(["models", "show", target])
    #expect(shown.output.contains("14 matrices of which two of every four weights are zero"))
    let card = try program.run(["models", "show", target, "--json"]).json
    #expect(card["held_two_of_four"]?.integer == 14)
    let value = try program.run([
      "quantize", model, target, "--prune", "magnitude", "--method", "nearest", "--type", "bf16", "--threads", "1",
      "--force", "--json",
    ]).json
    #expect(value["prune"]?.string == "magnitude" && value["type"]?.string == "bf16")
    #expect(value["layers"]?.array?.allSatisfy { $0["calibrated"]?.bool == false } == true)
  }

  @Test("A size that leaves the layers nothing is refused, and an embedding has the type that its rows fit into")
  func embedding() throws {
    let (target, text) = (folder.path + "/small.gguf", try text("text.txt"))
    let start = ["quantize", model, target, "--threads", "1"]
    let small = try program.run(start + ["--size", "4KiB", "--calibration", text, "--context", "64"])
    #expect(small.code == .usage && small.errors.contains("is less than embedding, head and norms take alone"))
    #expect(FilePath.kind(target) == nil)
    let outcome = try program.run(start + ["--method", "nearest", "--embedding", "q6_k"])
    #expect(outcome.code == .success, "\(outcome.errors)")
    #expect(try Checkpoint.open(target).tensor("token_embd.weight").dtype == .q8_0)
  }

  @Test("What cannot be pruned is said before anything is read")
  func pruneRefusals() throws {
    let start = ["quantize", model, folder.path + "/out.gguf"]
    for (words, expected) in [
      (["--prune", "wanda", "--method", "nearest"], "--prune wanda needs --calibration FILE"),
      (
        ["--prune", "magnitude", "--method", "nearest", "--type", "q5_0"], "--prune goes with --type q4_0, q8_0 or bf16"
      ),
      (["--prune", "magnitude", "--bits", "5"], "--prune is for one --type"),
      (["--type", "bf16", "--method", "nearest"], "give --prune too"),
      (["--prune", "half"], "magnitude or wanda"),
    ] {
      let outcome = try program.run(start + words)
      #expect(outcome.code == .usage && outcome.errors.contains(expected), "\(outcome.errors)")
    }
    #expect(FilePath.kind(folder.path + "/out.gguf") == nil)
  }
}
