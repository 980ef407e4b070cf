import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("Recipes") struct RecipeTests {
  @Test(
    "recipes that do not fit together are refused in one line each",
    arguments: [
      (["architecture=null"], "neither model nor architecture is given"),
      (["model=x"], "both model and architecture are given"),
      (["tokenizer=null"], "tokenizer is missing"),
      (["lora.rank=4"], "lora is given, but adapters need a model"),
      (["architecture.heads=5"], "architecture.width is 32, which 5 heads do not share"),
      (["data.train=[]"], "data.train is missing"),
      (["optimizer.learning_rate=nan"], "argument 'optimizer.learning_rate=nan': optimizer.learning_rate is"),
      (
        ["optimizer.lerning_rate=1"],
        "argument 'optimizer.lerning_rate=1': unknown key 'optimizer.lerning_rate'; did you mean"
      ),
    ])
  func problems(_ changes: [String], _ start: String) throws {
    let run = TinyRun(try TemporaryFolder())
    let error = #expect(throws: ConfigurationError.self) { try run.recipe(changes) }
    #expect(error?.problems.contains { $0.hasPrefix(start) } == true, "\(error?.description ?? "")")
  }

  @Test("the recipe that a run writes down reads back as itself")
  func writtenDown() throws {
    let run = TinyRun(try TemporaryFolder())
    let recipe = try run.recipe(["output.samples=[\"a: b\", c]"])
    #expect(try run.recipe(text: recipe.yaml) == recipe)
    let learnt = try run.recipe([#"tokenizer={pattern: ' ?\p{L}+|\s+', special_tokens: ["<a: b>"]}"#])
    #expect(try run.recipe(text: learnt.yaml) == learnt)
  }

  @Test("the plan's activations are those that a run holds", arguments: [false, true])
  func plan(recomputes: Bool) throws {
    let run = TinyRun(try TemporaryFolder())
    try run.execute(try run.recipe(["training.steps=1", "training.recompute=\(recomputes)"]))
    let plan = try #require(run.plan)
    let memory = plan.memory
    #expect(memory.trainedWeights == 4 * plan.parameterCount && memory.frozenWeights == 0)
    #expect(memory.gradients == memory.trainedWeights && memory.optimizerStates == 2 * memory.trainedWeights)
    #expect(memory.activations > 0 && plan.steps == 1 && plan.rowsPerStep == 128)
    // Products of every matrix but the embedding, which is the head too: 6 operations a value and row.
    let matrices = 2 * (4 * 32 * 32 + 3 * 32 * 64)
    let vocabulary = (plan.parameterCount - matrices - 5 * 32) / 32
    let want = 6e-9 * Double((matrices + 32 * vocabulary) * 128)
    #expect(abs(plan.gigaflopsPerStep / want - 1) < 1e-12)
  }

  @Test("recomputing layers lowers the peak of activations")
  func recomputation() throws {
    func activations(_ recomputes: Bool) throws -> Int {
      let run = TinyRun(try TemporaryFolder())
      try run.execute(
        try run.recipe([
          "training.steps=1", "architecture.layers=6", "training.recompute=\(recomputes)", "data.validation_ratio=0",
        ]))
      return try #require(run.plan).memory.activations
    }
    #expect(try activations(true) * 2 < activations(false))
  }

  @Test("the guide has a row for every key, and no others")
  func guide() throws {
    let path = Goldens.path("../../Documentation/Training.md")
    let rows = Set(
      String(decoding: try TemporaryFolder.read(path), as: UTF8.self).split(separator: "\n").map(String.init))
    var keys = 0
    for field in TrainingRecipe.fields {
      let nested = field.nested.map { ("\(field.name).\($0.name)", $0.summary) }
      for (key, summary) in [(field.name, field.summary)] + nested {
        #expect(rows.contains("| `\(key)` | \(summary) |"), "\(key)")
        keys += 1
      }
    }
    let table = rows.filter { $0.hasPrefix("| `") && !$0.contains("/` ") && !$0.contains("jsonl` ") }
    #expect(table.count - 4 == keys, "resolved.yaml, curves.svg, report.html and lost.txt are the other rows")
  }

  @Test("every recipe reads and fits together", arguments: recipeFiles)
  func recipes(_ path: String) throws {
    let node = try RecipeParser.parse(path: path)
    _ = try TrainingRecipe(recipe: node)
    let lines = String(decoding: try TemporaryFolder.read(path), as: UTF8.self).split(separator: "\n")
    #expect(lines.count <= 15)
  }
}

/// The recipes that come with the program.
private let recipeFiles = ["chinese", "dialogues", "llama-15m", "lora", "sft", "shakespeare"].map {
  Goldens.path("../../Recipes/\($0).yaml")
}
