import AngelCheckpoint
import AngelCore
import AngelData
import AngelDistributed
import AngelModels
import AngelNN
import AngelTensor
import AngelText

/// What a recipe begins from: a model's outline, its tokenizer, and how values come into it.
struct Preparation {
  let encoding: TrainingData.Encoding
  let origin: ModelFolder.Origin
  let names: NameTable
  /// Rows of the model's embedding.
  let vocabularySize: Int
  /// Of the model's layers.
  private let sizes: HiddenSizes
  /// The recipe's own chat template, which is written beside the result; nil where the model's stands.
  let chatTemplate: String?
  /// How adapters are shaped; nil where the whole model is trained.
  let lora: LoRAConfiguration?
  private let recipe: TrainingRecipe
  /// The adapters that training goes on from; nil where it begins with new ones.
  private let adapter: PEFTFolder?
  private let openModel: (String) throws -> Checkpoint
  /// Nil for a new model.
  private let checkpoint: Checkpoint?

  init(_ recipe: TrainingRecipe, _ surroundings: TrainingRun.Surroundings) throws {
    let openModel = surroundings.openModel
    self.recipe = recipe
    self.openModel = openModel
    adapter = try recipe.lora?.from.map { try PEFTFolder(path: $0) }
    var lora = recipe.lora
    if let adapter { lora?.shape = adapter.shape }
    self.lora = lora
    chatTemplate = try recipe.chatTemplate.map { try NamedTemplates.source(of: $0) }
    let outline: any LanguageModel
    if let name = recipe.model {
      let checkpoint = try openModel(name)
      self.checkpoint = checkpoint
      outline = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint)
      origin = .checkpoint(checkpoint)
      encoding = try Self.encoding(of: checkpoint, chatTemplate)
    } else {
      checkpoint = nil
      let (description, template) = try NewTokenizer(recipe, surroundings).make()
      let tokenizer = try Tokenizer(description)
      outline = try Self.outline(of: recipe, tokenizer)
      origin = .tokenizer(description)
      encoding = TrainingData.Encoding(
        tokenizer: tokenizer, template: try chatTemplate.map { try ChatTemplate($0) } ?? template, endTokens: [])
    }
    names = outline.nameTable
    guard recipe.experts == nil || outline.hasExperts else {
      throw PTMError.recipe("experts is given, but the model has none: leave the group out")
    }
    vocabularySize = outline.vocabularySize
    sizes = outline.hiddenSizes
    guard recipe.sequenceLength <= outline.contextLength else {
      throw PTMError.recipe(
        "sequence_length is \(recipe.sequenceLength), but the model was made for \(outline.contextLength) tokens")
    }
  }

  /// Files and folders that values come from, each with its role.
  var sources: [(role: String, path: String)] {
    get throws {
      var sources: [(role: String, path: String)] = []
      if let checkpoint { sources.append(("model before", checkpoint.path)) }
      if let adapter { sources.append(("adapter before", adapter.path)) }
      if let teacher = recipe.distill?.teacher { sources.append(("teacher", try openModel(teacher).path)) }
      return sources
    }
  }

  /// The model on `backend`, its trained parameters trainable.
  func makeModel(on backend: any Backend) throws -> any LanguageModel {
    guard let checkpoint else {
      let model = try Self.outline(of: recipe, encoding.tokenizer)
      model.compute(in: recipe.precision.dtype)
      fill(model, on: backend)
      return model
    }
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var model = try entry.outline(checkpoint)
    try entry.load(&model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    model.compute(in: recipe.precision.dtype)
    guard let lora else {
      let frozen = try ParameterPattern.list(recipe.freeze, naming: model.parameterShapes().map(\.path))
      model.makeTrained { path in !frozen.contains { $0.matches(path) } }
      return model
    }
    return try adapted(model, lora, on: backend)
  }

  /// What trains the recipe's model on batches of `source`: a run, or the doctor on a few rows.
  func makeTrainer(
    _ source: any BatchSource, learningRate: LearningRateSchedule, schedule: TrainingSchedule,
    mesh: DeviceMesh? = nil, on backend: any Backend
  ) throws -> Trainer {
    let part = try MeshPart(makeModel(on: backend), recipe.mesh, mesh)
    return try Trainer(
      part.model, source: source, optimizer: recipe.optimizer, learningRate: learningRate,
      schedule: schedule, experts: recipe.experts, upRatio: lora?.plusRatio ?? 1,
      distillation: makeDistillation(on: backend),
      makeLayout: { try part.makeLayout($0, recipe.optimizer, on: backend) }, on: backend)
  }

  /// The recipe's teacher on `backend`, its parameters constants; nil where there is none.
  func makeDistillation(on backend: any Backend) throws -> Distillation? {
    guard let configuration = recipe.distill else { return nil }
    let checkpoint = try openModel(configuration.teacher)
    let tokenizer = try Tokenizer(checkpoint.tokenizer())
    guard tokenizer.digest == encoding.tokenizer.digest else {
      throw PTMError.recipe(
        "the teacher '\(configuration.teacher)' has another tokenizer than the model: tokens of one mean "
          + "nothing to the other"
      )
    }
    let entry = try ModelCatalog.languageModel(for: checkpoint)
    var teacher = try entry.outline(checkpoint)
    try entry.load(
      &teacher, checkpoint, LoadingOptions(backend: backend, arithmetic: recipe.precision.arithmetic))
    guard configuration.weight == 0 || teacher.vocabularySize == vocabularySize else {
      throw PTMError.recipe(
        "the teacher '\(configuration.teacher)' scores \(teacher.vocabularySize) tokens, the model \(vocabularySize): "
          + "they cannot be compared")
    }
    let hidden = try configuration.hidden.map {
      try HiddenStateMatching($0, sizes, teacher.hiddenSizes, seed: UInt64(recipe.seed), on: backend)
    }
    return Distillation(teacher: teacher, configuration: configuration, hidden: hidden)
  }

  private func adapted(
    _ model: some LanguageModel, _ lora: LoRAConfiguration, on backend: any Backend
  ) throws -> any LanguageModel {
    var model = model
    if let format = lora.quantize { Adapters.quantize(&model, to: format) }
    if let adapter {
      try adapter.attach(to: &model, for: .training, on: backend)
    } else {
      _ = try Adapters.attach(lora, to: &model, names: names, seed: UInt64(recipe.seed), on: backend)
    }
    model.compute(in: recipe.precision.dtype)
    return model
  }

  private func fill(_ model: some LanguageModel, on backend: any Backend) {
    InitialValues.fill(
      model, seed: UInt64(recipe.seed), layerCount: model.configuration.cacheGeometry.layerCount, on: backend)
  }

  private static func outline(of recipe: TrainingRecipe, _ tokenizer: Tokenizer) throws -> any LanguageModel {
    guard let architecture = recipe.architecture else { throw PTMError.recipe("no architecture is given") }
    return architecture.makeModel(
      vocabularySize: tokenizer.vocabularySize, sequenceLength: recipe.sequenceLength)
  }

  private static func encoding(of checkpoint: Checkpoint, _ chatTemplate: String?) throws -> TrainingData.Encoding {
    let tokenizer = try Tokenizer(checkpoint.tokenizer())
    return TrainingData.Encoding(
      tokenizer: tokenizer, template: try (chatTemplate ?? checkpoint.chatTemplate).map { try ChatTemplate($0) },
      endTokens: checkpoint.endTokens(for: tokenizer))
  }
}

extension LanguageModel {
  fileprivate var nameTable: NameTable { Self.names(for: configuration) }
  fileprivate var contextLength: Int { configuration.contextLength }
  fileprivate var hasExperts: Bool { parameterShapes().contains { $0.parameter.tokenShare < 1 } }
  fileprivate var vocabularySize: Int { configuration.vocabularySize }
  fileprivate var hiddenSizes: HiddenSizes {
    HiddenSizes(layerCount: configuration.cacheGeometry.layerCount, width: configuration.hiddenSize)
  }
}
