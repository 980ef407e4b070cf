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
    #expect(run.validations.count == 8 && run.validations[7] < run.validations[0])
    #expect(run.samples == [String](repeating: "to be…", count: 8))
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

  @Test("ten steps are five and five more, bit for bit, on any number of threads")
  func resumes() throws {
    let whole = TinyRun(try TemporaryFolder())
    try whole.execute(try whole.recipe())
    let parted = TinyRun(try TemporaryFolder())
    #expect(throws: Interrupted.self) { try parted.execute(try parted.recipe(), stopsAfter: 5) }
    #expect(parted.finishedPath == nil)
    try parted.execute(try parted.recipe(), resumes: true, threads: 2)
    #expect(parted.losses == whole.losses)
    #expect(try parted.weights() == whole.weights())
    let steps = try MetricsFile.lines(parted.folder("run/metrics.jsonl")).filter { $0["loss"] != nil }
    #expect(steps.compactMap { $0["step"]?.integer } == Array(1...10))
  }

  @Test("accumulated batches make the step that one batch makes")
  func accumulation() throws {
    let one = TinyRun(try TemporaryFolder())
    try one.execute(try one.recipe(["training.steps=3"]))
    let many = TinyRun(try TemporaryFolder())
    try many.execute(try many.recipe(["training.steps=3", "batch_size=1", "training.accumulation=4"]))
    for (a, b) in zip(one.losses, many.losses) { #expect(abs(a - b) < 1e-4 * a) }
  }

  @Test("a begun run is not written over, and a changed recipe is not resumed")
  func refusals() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=2"]))
    let again = #expect(throws: PTMError.self) { try run.execute(try run.recipe(["training.steps=2"])) }
    #expect(again?.description.contains("holds a run that was begun (step 2): go on with --resume") == true)
    let changed = #expect(throws: PTMError.self) {
      try run.execute(try run.recipe(["training.steps=4", "optimizer.learning_rate=0.5"]), resumes: true)
    }
    #expect(changed?.description.contains("it is of another recipe") == true)
    try run.execute(try run.recipe(["training.steps=4"]), resumes: true)
    #expect(run.losses.count == 4)
  }

  @Test("a flipped bit in a checkpoint is named, and nothing is changed")
  func damagedCheckpoint() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=2"]))
    let name = "run/checkpoints/step-00000002/model.safetensors"
    var bytes = try TemporaryFolder.read(run.folder(name))
    bytes[bytes.count - 9] ^= 4
    try run.folder.write(bytes, to: name)
    let error = #expect(throws: PTMError.self) {
      try run.execute(try run.recipe(["training.steps=4"]), resumes: true)
    }
    #expect(error?.description.contains("is not what was written (its digest differs)") == true)
  }

  @Test("old checkpoints go, the newest stay, and latest names the last")
  func keeps() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["output.save_every=2", "output.keep=2"]))
    let folders = Set(
      run.folder.files(below: "run/checkpoints").compactMap { $0.split(separator: "/").dropFirst(2).first })
    #expect(folders == ["latest", "step-00000008", "step-00000010"])
    #expect(try TrainingCheckpoint.latest(in: run.folder("run/checkpoints"))?.step == 10)
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
    #expect(error?.description.contains("is not finite, for the 3th time in a row") == true)
    let skipped = try MetricsFile.lines(run.folder("run/metrics.jsonl")).filter { $0["skipped"]?.bool == true }
    #expect(skipped.count >= 2)
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
    #expect(abs(next.validations[0] - run.validations[1]) < 1e-5 * run.validations[1])
  }

  @Test(
    "recipes that do not fit together are refused in one line each",
    arguments: [
      (["architecture=null"], "neither model nor architecture is given"),
      (["model=x"], "both model and architecture are given"),
      (["tokenizer=null"], "tokenizer is missing"),
      (["lora.rank=4"], "lora is given, but adapters need a model"),
      (["architecture.heads=5"], "architecture.width is 32, which 5 heads do not share"),
      (["data.train=[]"], "data.train is missing"),
    ])
  func problems(_ changes: [String], _ start: String) throws {
    let run = TinyRun(try TemporaryFolder())
    let error = #expect(throws: ConfigurationError.self) { try run.recipe(changes) }
    #expect(error?.problems.contains { $0.hasPrefix(start) } == true, "\(error?.description ?? "")")
  }
}
