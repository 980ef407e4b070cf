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

  @Test("a job's script starts as many processes as the mesh has, and without a cluster nothing is begun")
  func submit() throws {
    let result = try program.run([
      "submit", files.recipe, "mesh.data=2", "mesh.zero=1", "--print", "--cores", "3", "--time", "60", "--grace", "30",
    ])
    #expect(result.code == .success, "\(result.errors)")
    for line in [
      "#SBATCH --job-name=run", "#SBATCH --ntasks=2", "#SBATCH --cpus-per-task=3", "#SBATCH --time=60",
      "#SBATCH --signal=TERM@30", "#SBATCH --output=\(folder("run/job.log"))",
    ] {
      #expect(result.output.split(separator: "\n").contains(line[...]), "\(line) in \(result.output)")
    }
    #expect(result.output.contains("train \(files.recipe) mesh.data=2 mesh.zero=1 --resume --threads 3\n"))
    #expect(FilePath.kind(folder("run")) == nil)
    let wrong = try program.run(["submit", files.recipe, "mesh.zero=1", "--print"])
    #expect(wrong.code == .failure && wrong.errors.contains("mesh.zero is 1, but mesh.data is 1"))
    #expect("\(SubmitError.noSlurm)".contains("take --print"))
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

  /// Runs the recipe with changes; it must end with one line on standard error that has `parts`, and write nothing.
  private func refuse(_ changes: [String], _ parts: String..., code: Angel.ExitCode = .failure) throws {
    let result = try program.run(["train", files.recipe] + changes)
    #expect(result.code == code && result.output.isEmpty, "\(changes): \(result.output)")
    #expect(result.errors.hasPrefix("error: ") && result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    for part in parts { #expect(result.errors.contains(part), "\(part) in: \(result.errors)") }
    #expect(FilePath.kind(folder("run")) == nil)
  }

  @Test("adapters that are trained in either precision answer questions on the way", arguments: ["f32", "bf16"])
  func answers(_ precision: String) throws {
    let data = try folder.write("{\"prompt\": \"hi\", \"completion\": \"hello\"}\n".utf8, to: "rows.jsonl")
    let recipe = try folder.write(
      """
      stage: sft
      model: \(Goldens.path("models/llama-tiny"))
      precision: \(precision)
      data: {train: [\(data)], validation: [\(data)]}
      sequence_length: 64
      lora: {rank: 4}
      training: {steps: 2}
      output: {folder: \(folder("tuned")), samples: [hi], sample_tokens: 8}
      """.utf8, to: "lora.yaml")
    let result = try program.run(["train", recipe, "--json"])
    #expect(result.code == .success, "\(result.errors)")
    let lines = try result.output.split(separator: "\n").map { try JSONValue(parsing: Array($0.utf8)) }
    #expect(lines.count { $0["event"] == "sample" && $0["prompt"] == "hi" } == 2)
    #expect(FilePath.kind(folder("tuned/adapter/adapter_model.safetensors")) != nil)
  }

  @Test("what is wrong with a recipe is one line that names it")
  func refusals() throws {
    try refuse(["data.train=[]"], "data.train is missing: name at least one file")
    try refuse(
      ["optimizer.lerning_rate=1"], "unknown key 'optimizer.lerning_rate'; did you mean optimizer.learning_rate?")
    try refuse(["sequence_lenght=1"], "did you mean sequence_length?")
    try refuse(["seed=x"], "seed is 'x', expected a whole number")
    for value in ["nan", ".nan", "NaN", ".inf", "-1"] {
      try refuse(["optimizer.learning_rate=\(value)"], "optimizer.learning_rate is ", "expected a number from 0 to 100")
    }
    try refuse(["architecture.context=16"], "sequence_length is 32, but the model was made for 16 tokens")
    try refuse(["tokenizer={train: byte-bpe, vocabulary_size: 200}"], "tokenizer.vocabulary_size is 200", "from 257")
    let missing = try program.run(["train", folder("none.yaml")])
    #expect(missing.code == .failure && missing.errors.contains("none.yaml"))
  }

  @Test("what is wrong with data is one line that names file, line and column")
  func badData() throws {
    func refuseData(_ content: String, as name: String, _ change: String, _ parts: String...) throws {
      let path = try folder.write(content.utf8, to: name)
      let result = try program.run(["train", files.recipe, "data.train=[\(path)]", "data.validation_ratio=0", change])
      #expect(result.code == .failure && result.errors.split(separator: "\n").count == 1, "\(result.errors)")
      for part in parts { #expect(result.errors.contains(part), "\(part) in: \(result.errors)") }
    }
    try refuseData("", as: "empty.txt", "seed=1", "empty.txt': it holds no rows; there is nothing to train on")
    try refuseData("\n \n", as: "blank.jsonl", "seed=1", "blank.jsonl': it holds no rows")
    try refuseData("[]", as: "empty.json", "seed=1", "empty.json': it holds no rows")
    try refuseData("{\"text\": \"hi\"}\n", as: "one.jsonl", "seed=1", "3 tokens are too few for one sequence of 32")
    try refuseData(
      "{\"text\": \"a\"}\n{\"text\": \"b\"\n", as: "broken.jsonl", "seed=1", "broken.jsonl:2:13: not JSON: ")
    try refuseData(
      "{\"body\": \"a\", \"id\": 1}\n", as: "columns.jsonl", "seed=1", "columns.jsonl:1: no text under 'text'",
      "'body', 'id'")
    try refuseData("", as: "empty.txt", "tokenizer={train: byte-bpe, vocabulary_size: 300}", "it holds no rows")
    #expect(FilePath.kind(folder("run")) == nil)
  }

  @Test("one long row is enough to train on")
  func oneRow() throws {
    let row = "{\"text\": \"\(String(repeating: "one row of text ", count: 10))\"}\n"
    let path = try folder.write(row.utf8, to: "row.jsonl")
    let changes = ["data.train=[\(path)]", "data.validation_ratio=0", "training.steps=2"]
    let result = try program.run(["train", files.recipe] + changes)
    #expect(result.code == .success, "\(result.errors)")
  }

  @Test("a flipped bit in a checkpoint is one line that says how to go on, and that way works")
  func flippedBit() throws {
    _ = try program.run(["train", files.recipe, "training.steps=4"])
    let name = "run/checkpoints/step-00000004/model.safetensors"
    var bytes = try TemporaryFolder.read(folder(name))
    bytes[bytes.count / 2] ^= 1
    try folder.write(bytes, to: name)
    let words = ["train", files.recipe, "training.steps=6", "--resume"]
    let refused = try program.run(words)
    #expect(refused.code == .failure && refused.errors.split(separator: "\n").count == 1, "\(refused.errors)")
    let latest = folder("run/checkpoints/latest")
    for part in ["is not what was written (its digest differs)", "write step-00000002 into '\(latest)'"] {
      #expect(refused.errors.contains(part), "\(refused.errors)")
    }
    try folder.write("step-00000002\n".utf8, to: "run/checkpoints/latest")
    let resumed = try program.run(words)
    #expect(resumed.code == .success && resumed.output.contains("resumed from step 2"), "\(resumed.errors)")
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
