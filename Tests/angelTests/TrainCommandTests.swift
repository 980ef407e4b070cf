import AngelCore
import AngelPTM
import AngelTesting
import Testing

@testable import angel

@Suite("angel train and angel data") struct TrainCommandTests {
  let folder: TemporaryFolder
  let program: ProgramRunner
  let files: TrainingFiles

  init() throws {
    folder = try TemporaryFolder()
    program = ProgramRunner(folder)
    files = try TrainingFiles(folder)
  }

  @Test("a dry run shows every setting, data, memory by kind and time, and writes nothing")
  func dryRun() throws {
    let result = try program.run(["train", files.recipe, "--dry-run", "training.steps=3"])
    #expect(result.code == .success, "\(result.errors)")
    for text in [
      "steps: 3  # optimizer steps", "parameters", "gradients", "optimizer states", "activations", "expected time: ",
    ] {
      #expect(result.output.contains(text), "\(text) in \(result.output)")
    }
    #expect(FilePath.kind(folder("run")) == nil)
    let json = try program.run(["train", files.recipe, "--dry-run", "--json"]).json
    let memory = try #require(json["plan"]?["memory"])
    #expect(memory["gradients"]?.integer == 4 * (json["plan"]?["trained_parameters"]?.integer ?? 0))
    #expect(json["recipe"]?["training"]?["steps"] == 40)
  }

  @Test("a run prints its steps; with --json each line is an object; it is not written over")
  func train() throws {
    let result = try program.run(["train", files.recipe, "training.steps=4"])
    #expect(result.code == .success, "\(result.errors)")
    for text in ["step 1 of 4: loss ", "% of peak", "step 4: validation loss ", "finished: \(folder("run/model"))"] {
      #expect(result.output.contains(text), "\(text) in \(result.output)")
    }
    let again = try program.run(["train", files.recipe, "training.steps=4"])
    #expect(again.code == .failure && again.errors.contains("go on with --resume"))
    let resumed = try program.run(["train", files.recipe, "training.steps=6", "--resume", "--json"])
    let lines = try resumed.output.split(separator: "\n").map { try JSONValue(parsing: Array($0.utf8)) }
    let events = lines.compactMap { $0["event"]?.string }
    #expect(events.contains("resumed"))
    let steps = lines.filter { $0["loss"] != nil }
    let (numbers, shares) = (steps.map { $0["step"]?.integer }, steps.map { $0["mfu"]?.double ?? 0 })
    #expect(numbers == [5, 6] && shares.allSatisfy { $0 > 0 })
  }

  @Test("a trained model answers, and what it was trained with can be asked of it")
  func generate() throws {
    _ = try program.run(["train", files.recipe, "training.steps=2"])
    let result = try program.run(["generate", folder("run/model"), "to be", "--max-tokens", "4", "--temperature", "0"])
    #expect(result.code == .success && !result.output.isEmpty, "\(result.errors)")
  }

  @Test("Ctrl-C saves, exits with 130, and the run goes on from there")
  func interrupted() throws {
    let interruption = Interruption()
    interruption.request()
    // Requested before the first step: data are not read either.
    let early = try program.run(["train", files.recipe], interruption: interruption)
    #expect(early.code == .interrupted && FilePath.kind(folder("run")) == nil)
  }

  @Test("what a recipe lacks is one line", arguments: [["data.train=[]"], ["optimizer.lerning_rate=1"], ["seed=x"]])
  func refusals(_ changes: [String]) throws {
    let result = try program.run(["train", files.recipe] + changes)
    #expect(result.code == .failure && result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test("tokenize writes tokens that training reads, and says what is missing")
  func tokenize() throws {
    let target = folder("data.tokens")
    let result = try program.run([
      "data", "tokenize", folder("data.txt"), "--tokenizer", "byte", "--output", target, "--json",
    ])
    #expect(result.code == .success, "\(result.errors)")
    #expect(try result.json["texts"] == 1)
    #expect(try result.json["tokens"]?.integer == TemporaryFolder.read(folder("data.txt")).count + 1)
    let run = try program.run(["train", files.recipe, "data.train=[\(target)]", "training.steps=2"])
    #expect(run.code == .success, "\(run.errors)")
    for words in [[], [folder("data.txt")], [folder("data.txt"), "--tokenizer", "byte", "--output", "x.bin"]] {
      #expect(try program.run(["data", "tokenize"] + words).code == .usage)
    }
    let other = try program.run([
      "data", "tokenize", folder("data.txt"), "--tokenizer", "byte", "--output", target, "--text-key", "a", "--no-end",
    ])
    #expect(other.output.contains(" tokens of 1 texts"))
  }
}
