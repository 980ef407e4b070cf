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
    #expect(plan.gigaflopsPerStep == 6e-9 * Double((matrices + 32 * vocabulary) * 128))
  }

  @Test("recomputing layers lowers the peak of activations")
  func recomputation() throws {
    func activations(_ recomputes: Bool) throws -> Int {
      let run = TinyRun(try TemporaryFolder())
      try run.execute(
        try run.recipe(["training.steps=1", "architecture.layers=6", "training.recompute=\(recomputes)"]))
      return try #require(run.plan).memory.activations
    }
    #expect(try activations(true) * 2 < activations(false))
  }
}
