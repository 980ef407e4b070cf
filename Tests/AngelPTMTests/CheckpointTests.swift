import AngelCheckpoint
import AngelCore
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Checkpoints") struct CheckpointTests {
  @Test("ten steps are five and five more, bit for bit, on any number of threads", arguments: ["f32", "bf16"])
  func resumes(_ precision: String) throws {
    let changes = ["precision=\(precision)"]
    let whole = TinyRun(try TemporaryFolder())
    try whole.execute(try whole.recipe(changes))
    let parted = TinyRun(try TemporaryFolder())
    #expect(throws: Interrupted.self) { try parted.execute(try parted.recipe(changes), stopsAfter: 5) }
    #expect(parted.finishedPath == nil)
    try parted.execute(try parted.recipe(changes), resumes: true, threads: 2)
    #expect(parted.losses == whole.losses)
    #expect(try parted.weights() == whole.weights())
    let steps = try MetricsFile.lines(parted.folder("run/metrics.jsonl")).filter { $0["loss"] != nil }
    #expect(steps.compactMap { $0["step"]?.integer } == Array(1...10))
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

  @Test("checkpoints of a course that was left go, and what a killed process left half written goes")
  func abandoned() throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=4", "output.save_every=2", "output.keep=3"]))
    // As if the process had been killed after step 4 was written and before it was named.
    try run.folder.write("step-00000002\n".utf8, to: "run/checkpoints/latest")
    try run.folder.write([1, 2], to: "run/checkpoints/.step-00000006.1.partial/model.safetensors")
    try run.execute(
      try run.recipe(["training.steps=3", "output.save_every=1", "output.keep=1"]), resumes: true)
    #expect(run.losses.count == 5 && run.losses[4] == run.losses[2])
    let folder = run.folder("run/checkpoints")
    #expect(FilePath.entries(of: folder) == ["latest", "step-00000003"])
  }

  @Test("two runs cannot share a folder")
  func locked() throws {
    let run = TinyRun(try TemporaryFolder())
    let recipe = try run.recipe()
    let holder = try RunFolder(recipe.output.folder)
    let error = #expect(throws: PTMError.self) { try run.execute(recipe) }
    #expect(error?.description == "'\(holder.path)' is in use by another run: wait for it, or set output.folder")
  }

  @Test(
    "a checkpoint that is not one is named",
    arguments: [
      ("latest", "nonsense", "it names 'nonsense', which is no checkpoint"),
      ("latest", "step-00000009", "it has no readable state.json"),
      ("step-00000002/state.json", "{}", "its state.json is not of version 1"),
      ("step-00000002/model.safetensors", "", "model.safetensors"),
    ])
  func broken(_ name: String, _ content: String, _ reason: String) throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=2"]))
    try run.folder.write(content.utf8, to: "run/checkpoints/" + name)
    let error = #expect(throws: (any Error).self) {
      try run.execute(try run.recipe(["training.steps=4"]), resumes: true)
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains(reason))
    #expect(run.losses.count == 2)
  }
}
