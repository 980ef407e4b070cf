import AngelCheckpoint
import AngelCore
import AngelTesting
import Testing

@testable import AngelPTM

@Suite("One dial") struct RecipeDialTests {
  private func derive(_ text: String) throws -> (recipe: TrainingRecipe, derived: [RecipeDial.Derived]) {
    let node = try RecipeParser.parse(Array(text.utf8)) { .file(path: "r.yaml", line: $0, column: $1) }
    return try RecipeDial.recipe(node) { try Checkpoint.open($0) }
  }

  private static let data = "data: {train: [x.txt]}\ntokenizer: byte\n"

  @Test("twelve layers are GPT-2's sizes, and every value has its rule")
  func depth() throws {
    let (recipe, derived) = try derive(Self.data + "depth: 12")
    let architecture = try #require(recipe.architecture)
    #expect(architecture.layers == 12 && architecture.width == 768 && architecture.heads == 12)
    #expect(architecture.inner == 2048 && architecture.tiesEmbeddings && recipe.stage == .pretrain)
    #expect(recipe.problems().isEmpty && derived.allSatisfy { !$0.rule.isEmpty && !$0.value.isEmpty })
    // 85.0 M values in the layers and 257 tokens of 768.
    let parameters = RecipeDial.parameters(12, 257)
    #expect(parameters == 12 * (4 * 768 * 768 + 3 * 768 * 2048 + 2 * 768) + 257 * 768 + 768)
    let stepTokens = recipe.batchSize * recipe.sequenceLength * recipe.training.accumulation
    let tokens = Double(stepTokens * (recipe.training.steps ?? 0))
    #expect(abs(tokens / (20 * Double(parameters)) - 1) < 0.01)
    // C = 6 N 20 N = 8.7e17: 0.3118 C^-0.125 = 1.78e-3, 0.292 C^0.3271 = 215,500.
    #expect(abs(recipe.optimizer.learningRate - 1.78e-3) < 2e-5)
    #expect(abs(Double(stepTokens) / 215_483 - 1) < 0.02)
    #expect(recipe.learningRate.shape == .cosine && recipe.learningRate.warmup > 0)
  }

  @Test("the model that is made has the parameters that were counted")
  func count() throws {
    let (recipe, _) = try derive(Self.data + "depth: 3")
    let model = try #require(recipe.architecture).makeModel(vocabularySize: 257, sequenceLength: recipe.sequenceLength)
    #expect(model.parameterCount == RecipeDial.parameters(3, 257))
  }

  @Test("a size picks the nearest depth", arguments: [("15m", 7), ("85m", 12), ("1.3b", 30), ("80k", 1)])
  func size(_ size: String, _ depth: Int) throws {
    let (recipe, derived) = try derive(Self.data + "size: \(size)")
    #expect(recipe.architecture?.layers == depth)
    #expect(derived.first { $0.key == "architecture.layers" }?.rule.hasPrefix("size \(size)") == true)
  }

  @Test("what the recipe says itself stands")
  func overrides() throws {
    let (recipe, derived) = try derive(
      Self.data + "depth: 4\noptimizer: {learning_rate: 0.01}\ntraining: {steps: 7}\narchitecture: {family: qwen3}")
    #expect(recipe.optimizer.learningRate == 0.01 && recipe.training.steps == 7)
    #expect(recipe.architecture?.family == .qwen3 && recipe.architecture?.layers == 4)
    #expect(!derived.contains { $0.key == "optimizer.learning_rate" || $0.key == "training.steps" })
  }

  @Test(
    "dials that mean nothing are refused",
    arguments: [
      ("size: big", "size is 'big', expected a number of parameters"), ("size: 1m\ndepth: 2", "both size and depth"),
      ("depth: 2\nmodel: smollm2", "they need stage pretrain and no model"),
      ("depth: 2\nstage: sft", "they need stage pretrain and no model"),
    ])
  func refusals(_ text: String, _ reason: String) throws {
    let error = #expect(throws: (any Error).self) { try derive(Self.data + text) }
    #expect("\(error.map { "\($0)" } ?? "")".contains(reason))
  }

  @Test("a recipe as a run writes it can be run again")
  func again() throws {
    for text in ["depth: 2", "architecture: {layers: 2}\nstage: pretrain"] {
      let (recipe, _) = try derive(Self.data + text)
      let written = recipe.yaml.replacing("depth: 2", with: "depth: null")
      let (read, derived) = try derive(written)
      #expect(derived.isEmpty && read.architecture == recipe.architecture)
    }
  }

  @Test("the course follows from the length, the batch and the model that the recipe has")
  func course() throws {
    let (recipe, derived) = try derive(
      Self.data + "depth: 4\nsequence_length: 2048\nbatch_size: 3\narchitecture: {width: 64, heads: 2}")
    let model = try #require(recipe.architecture).makeModel(vocabularySize: 257, sequenceLength: 2048)
    let tokens = 3 * 2048 * recipe.training.accumulation * (recipe.training.steps ?? 0)
    let wanted = 20 * model.parameterCount
    #expect(tokens >= wanted && tokens < wanted + 3 * 2048 * recipe.training.accumulation)
    #expect(!derived.contains { $0.key == "batch_size" || $0.key == "sequence_length" })
  }

  @Test("a recipe without a dial is as it was")
  func without() throws {
    let (recipe, derived) = try derive(Self.data + "architecture: {layers: 2}\nstage: pretrain")
    #expect(derived.isEmpty && recipe.architecture?.layers == 2)
  }
}
