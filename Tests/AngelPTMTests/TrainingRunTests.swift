import AngelCheckpoint
import AngelCore
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Runs") struct TrainingRunTests {
  @Test("a run learns, validates, samples and writes everything it promises")
  func wholeRun() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=40", "output.samples=[to be]", "output.save_every=20"]))
    #expect(run.losses.count == 40)
    let (first, last) = (run.losses[0], run.losses[39])
    #expect(first > 3 && last < first * 0.6, "from \(first) to \(last)")
    #expect(run.validations.count == 9 && run.validations[8] < run.validations[0])
    #expect(run.samples == [String](repeating: "to be…", count: 9))
    let files = run.folder.files(below: "run")
    for name in [
      "run/resolved.yaml", "run/metrics.jsonl", "run/curves.svg", "run/checkpoints/latest",
      "run/checkpoints/step-00000040/state.json", "run/model/config.json", "run/model/tokenizer.json",
    ] {
      #expect(files.contains(name), "\(name) is missing from \(files)")
    }
    let lines = try MetricsFile.lines(run.folder("run/metrics.jsonl"))
    #expect(lines.filter { $0["loss"] != nil }.count == 40)
    let svg = String(decoding: try TemporaryFolder.read(run.folder("run/curves.svg")), as: UTF8.self)
    #expect(svg.hasPrefix("<svg") && svg.contains("polyline") && svg.hasSuffix("</svg>\n"))
  }

  @Test("a saved model names its end token or none, never the family's own ids", arguments: ["character", "byte"])
  func tokenRoles(_ tokenizer: String) throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(
      try run.recipe(["training.steps=1", "tokenizer=\(tokenizer)", "architecture.family=gpt2"]))
    let configuration = try JSONValue(parsing: TemporaryFolder.read(run.folder("run/model/config.json")))
    let end: JSONValue = tokenizer == "byte" ? 256 : .null
    // There, and null: an absent key would mean the family's default.
    #expect(
      configuration.object?["bos_token_id"] == .some(.null) && configuration.object?["eos_token_id"] == .some(end))
    let roles = try JSONValue(parsing: TemporaryFolder.read(run.folder("run/model/tokenizer_config.json")))
    #expect(roles["eos_token"] == (tokenizer == "byte" ? "<|endoftext|>" : .null))
  }

  @Test("accumulated batches make the step that one batch makes")
  func accumulation() throws {
    let one = TinyRun(try TemporaryFolder())
    try one.execute(try one.recipe(["training.steps=3"]))
    let many = TinyRun(try TemporaryFolder())
    try many.execute(try many.recipe(["training.steps=3", "batch_size=1", "training.accumulation=4"]))
    for (a, b) in zip(one.losses, many.losses) { #expect(abs(a - b) < 1e-4 * a) }
  }

  @Test("a learning rate that breaks the numbers stops the run by name, each skipped step counted")
  func notFinite() throws {
    let run = TinyRun(try TemporaryFolder())
    let error = #expect(throws: PTMError.self) {
      try run.execute(
        try run.recipe([
          "training.steps=40", "optimizer.learning_rate=100", "optimizer.clip=null", "optimizer.rule=sgd",
          "schedule.warmup=0", "training.skip_limit=3",
        ]))
    }
    #expect(error?.description.contains("is not finite, 3 steps in a row") == true)
    let skipped = try MetricsFile.lines(run.folder("run/metrics.jsonl")).compactMap { $0["skipped"]?.string }
    #expect(skipped.count == 3 && skipped.allSatisfy { $0.hasSuffix("is not finite") })
  }

  @Test("a saved model loads again and gives the trained model's loss")
  func loadsAgain() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe())
    let path = try #require(run.finishedPath)
    let next = TinyRun(run.folder)
    var recipe = try run.recipe(["training.steps=1", "output.folder=\(run.folder("second"))"])
    recipe.architecture = nil
    recipe.tokenizer = nil
    recipe.model = path
    recipe.optimizer.learningRate = 0
    try next.execute(recipe)
    #expect(abs(next.validations[0] - run.validations[2]) < 1e-5 * run.validations[2])
  }
}
