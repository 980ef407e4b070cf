import AngelCore
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Runs of several tasks") struct MixtureRunTests {
  @Test("files with weights are tasks; each validation file has a loss of its own, and all have one together")
  func tasks() throws {
    let run = TinyRun(try TemporaryFolder())
    let other = try run.folder.write(
      (0..<60).map { "0123456789 \($0 * 31 % 97)\n" }.joined().utf8, to: "numbers.txt")
    let text = try run.folder.write(TinyRun.text.utf8, to: "data.txt")
    try run.execute(
      try run.recipe([
        "data.train=[\(text), \(other)]", "data.weights=[1, 3]", "data.validation=[\(text), \(other)]",
        "data.validation_ratio=0", "training.steps=20",
      ]))
    #expect(run.tasks.keys.sorted() == ["data", "numbers"])
    let (one, two) = (try #require(run.tasks["data"]), try #require(run.tasks["numbers"]))
    #expect(one.count == run.validations.count && two.count == one.count)
    let all = try #require(run.validations.last)
    #expect(min(one[one.count - 1], two[two.count - 1]) < all && all < max(one[one.count - 1], two[two.count - 1]))
    // Three quarters of the batches are numbers.
    #expect(two[0] - two[two.count - 1] > one[0] - one[one.count - 1])
    let lines = try MetricsFile.lines(run.folder("run/metrics.jsonl")).filter { $0["validation_losses"] != nil }
    #expect(lines.last?["validation_losses"]?["numbers"]?.double == two.last)
  }

  @Test("as many weights as files are needed, each above zero", arguments: ["[1, 2]", "[0]", "[-1]"])
  func weights(_ weights: String) throws {
    let run = TinyRun(try TemporaryFolder())
    let error = #expect(throws: ConfigurationError.self) { try run.recipe(["data.weights=\(weights)"]) }
    #expect(error?.description.contains("data.weights are") == true)
  }

  @Test("tables and packed files train like the rows they hold")
  func tables() throws {
    let tuning = try FineTuningTests()
    let table = try tuning.run.folder.write("prompt,completion\nhi,hello you\n\"a, b\",c\n".utf8, to: "rows.csv")
    let tuned = TinyRun(tuning.run.folder)
    try tuned.execute(
      try tuning.recipe(["{}"], ["data.train=[\(table)]", "data.validation=[\(table)]", "training.steps=1"]))
    #expect(tuned.statistics?.rows == 4 && tuned.statistics?.layout == .pair)
    #expect(tuned.statistics?.trainedTokens == 2 * (10 + 2))
  }
}
