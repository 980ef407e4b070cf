import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelDistributed
import AngelHCF
import AngelModels
import AngelPTM
import AngelText

/// `angel train RECIPE`: pretraining, fine-tuning, adapters.
enum TrainCommand: Command {
  static let name = "train"
  static let summary = "train a model as a recipe says"
  static let details = """
    A recipe is a YAML file; key.path=value arguments are laid over it, and `angel train RECIPE --dry-run` shows every
    setting, the memory by kind and the steps, and stops. The run's folder (output.folder) gets resolved.yaml,
    metrics.jsonl, curves.svg, tensorboard/, checkpoints/ and at last model/ or adapter/. Ctrl-C saves and stops with 130;
    --resume goes on from the last checkpoint, bit for bit as if the run had not stopped. With --json: one object a line.

    `mpirun -n 4 angel train RECIPE mesh.data=4` trains on four processes: each reads its part of every step, and what is
    learnt is what one process would learn. With mesh.zero=1, 2 or 3 they share out optimizer states, gradients, parameters.
    With mesh.tensor=2 every two processes share out each layer's heads and inner features, its gradients and states too.
    A run may be resumed on any number of processes (Documentation/Parallelism.md).
    """
  static let positionals = [
    Positional(name: "RECIPE", kind: .file, help: "a YAML file; see Recipes/ for examples"),
    Positional(name: "KEY=VALUE", isRequired: false, repeats: true, help: "settings laid over the recipe"),
  ]
  static let resume = Option<Bool>.flag("resume", help: "go on from the last checkpoint in the run's folder")
  static let dryRun = Option<Bool>.flag("dry-run", help: "show settings, data, memory and steps, and stop")
  static let options = [resume.declaration, dryRun.declaration, SessionOptions.memory.declaration]
  static let examples = [
    "train Recipes/shakespeare.yaml", "train Recipes/sft.yaml optimizer.learning_rate=1e-4 --dry-run",
    "train Recipes/sft.yaml --resume", "train Recipes/shakespeare.yaml mesh.data=2 mesh.zero=1 --dry-run",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let (recipe, derived) = try recipe(arguments, context, name)
    try context.interruption.deferred {
      let world = try arguments[dryRun] ? nil : context.joinWorld(patience: recipe.mesh)
      // Of several processes the first speaks.
      let context = world.map { $0.rank > 0 } ?? false ? context.silent : context
      let backend = try context.makeBackend(arguments)
      let view = TrainingView(recipe, context)
      try show(derived, context)
      var surroundings = TrainingRun.Surroundings(
        backend: backend, progress: context.progress, interruption: context.interruption,
        openModel: context.openCheckpoint, sample: { try sample($0, $1, $2, $3, on: backend) },
        report: view.show)
      surroundings.environment = MachineFacts.all(backend)
      surroundings.mesh = try world.map { try DeviceMesh(recipe.mesh.axes, world: $0.group) }
      let run = try TrainingRun(recipe, surroundings)
      guard !arguments[dryRun] else { return try view.showPlan(run) }
      do { try run.execute(resumes: arguments[resume]) } catch {
        view.end()
        // All have stopped after the same step.
        if error is Interrupted { try world?.leave() }
        throw error
      }
      try world?.leave()
    }
  }

  /// The recipe that a command is given, with its settings laid over it.
  static func recipe(
    _ arguments: Arguments, _ context: CommandContext, _ command: String
  ) throws -> (TrainingRecipe, derived: [RecipeDial.Derived]) {
    let path = try arguments.required(0, "RECIPE", command)
    let node = try arguments.positionals.dropFirst().reduce(try RecipeParser.parse(path: path)) {
      try $0.overlaid(with: $1)
    }
    return try RecipeDial.recipe(node, openModel: context.openCheckpoint)
  }

  /// What a dial has set, with the rules it followed.
  private static func show(_ derived: [RecipeDial.Derived], _ context: CommandContext) throws {
    guard !derived.isEmpty else { return }
    if context.printsJSON {
      return try context.print(["event": "derived", "values": .array(derived.map(\.json))])
    }
    var table = Table([("derived", .left), ("", .right), ("rule", .left)])
    for value in derived { table.append([value.key, value.value, value.rule]) }
    for line in table.lines { try context.output.line(line) }
    try context.output.line()
  }

  /// A continuation by an engine of its own.
  static func sample(
    _ model: any LanguageModel, _ encoding: TrainingData.Encoding, _ prompt: [Int32], _ recipe: TrainingRecipe,
    on backend: CPUBackend
  ) throws -> String {
    var sampling = SamplingParameters()
    sampling.temperature = Float(recipe.output.sampleTemperature)
    sampling.seed = recipe.seed
    sampling.maxTokens = min(recipe.output.sampleTokens, model.contextLimit - prompt.count)
    guard let tokens = sampling.maxTokens, tokens > 0, !prompt.isEmpty else { return "" }
    var options = EngineOptions()
    options.cacheDType = .float32
    options.contextLength = prompt.count + tokens
    let engine = try InferenceEngine(model, on: backend, pool: backend.pool, options: options)
    let generator = TextGenerator(engine, tokenizer: encoding.tokenizer, endTokens: encoding.endTokens)
    return try generator.generate(from: prompt, in: engine.makeSequence(), sampling: sampling) { _ in }.text
  }
}

extension LanguageModel {
  fileprivate var contextLimit: Int { configuration.contextLength }
}
