import AngelCheckpoint
import AngelCore
import AngelModels
import AngelNN
import AngelTensor
import AngelText

/// What a recipe begins from: a model's outline, its tokenizer, and how values come into it.
struct Preparation {
  let encoding: TrainingData.Encoding
  let origin: ModelFolder.Origin
  let names: NameTable
  /// The model without values, for the plan.
  let outline: any LanguageModel
  private let recipe: TrainingRecipe
  private let backend: any Backend
  private let checkpoint: Checkpoint?

  init(_ recipe: TrainingRecipe, _ surroundings: TrainingRun.Surroundings) throws {
    self.recipe = recipe
    backend = surroundings.backend
    if let name = recipe.model {
      let checkpoint = try surroundings.openModel(name)
      self.checkpoint = checkpoint
      outline = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint)
      origin = .checkpoint(checkpoint)
      encoding = try Self.encoding(of: checkpoint)
    } else {
      checkpoint = nil
      let (description, template) = try Self.tokenizer(recipe, surroundings)
      let tokenizer = try Tokenizer(description)
      guard let architecture = recipe.architecture else { throw PTMError.recipe("no architecture is given") }
      outline = architecture.makeModel(
        vocabularySize: tokenizer.vocabularySize, sequenceLength: recipe.sequenceLength)
      origin = .tokenizer(description)
      encoding = TrainingData.Encoding(tokenizer: tokenizer, template: template, endTokens: [])
    }
    names = outline.nameTable
    guard recipe.sequenceLength <= outline.contextLength else {
      throw PTMError.recipe(
        "sequence_length is \(recipe.sequenceLength), but the model was made for \(outline.contextLength) tokens")
    }
  }

  /// The model with values, its trained parameters trainable.
  func makeModel() throws -> any LanguageModel {
    guard let checkpoint else {
      fill(outline)
      return outline
    }
    var model = outline
    try ModelCatalog.languageModel(for: checkpoint).load(
      &model, checkpoint, LoadingOptions(backend: backend, arithmetic: .f32))
    guard let lora = recipe.lora else {
      model.makeTrained()
      return model
    }
    return try adapted(model, lora)
  }

  private func adapted(_ model: some LanguageModel, _ lora: LoRAConfiguration) throws -> any LanguageModel {
    var model = model
    _ = try Adapters.attach(lora, to: &model, names: names, seed: UInt64(recipe.seed), on: backend)
    return model
  }

  private func fill(_ model: some LanguageModel) {
    InitialValues.fill(
      model, seed: UInt64(recipe.seed), layerCount: model.configuration.cacheGeometry.layerCount, on: backend)
  }

  private static func encoding(of checkpoint: Checkpoint) throws -> TrainingData.Encoding {
    let tokenizer = try Tokenizer(checkpoint.tokenizer())
    var ends = Set(checkpoint.endTokens.filter { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
    if let end = tokenizer.endToken { ends.insert(end) }
    for name in ["<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>"] {
      if let token = tokenizer.token(named: name), tokenizer.isSpecial(token) { ends.insert(token) }
    }
    return TrainingData.Encoding(
      tokenizer: tokenizer, template: try checkpoint.chatTemplate.map { try ChatTemplate($0) }, endTokens: ends)
  }

  private static func tokenizer(
    _ recipe: TrainingRecipe, _ surroundings: TrainingRun.Surroundings
  ) throws -> (TokenizerDescription, ChatTemplate?) {
    switch recipe.tokenizer {
    case "byte"?: return (.bytes(), nil)
    case "character"?:
      var text: [UInt8] = []
      for path in recipe.data.train + recipe.data.validation { text += try MappedFile(path: path).unsafeBytes }
      return (.characters(of: text), nil)
    case let name?:
      let checkpoint = try surroundings.openModel(name)
      return (try checkpoint.tokenizer(), try checkpoint.chatTemplate.map { try ChatTemplate($0) })
    case nil: throw PTMError.recipe("tokenizer is missing: a new model needs one")
    }
  }
}

extension LanguageModel {
  fileprivate var nameTable: NameTable { Self.names(for: configuration) }
  fileprivate var contextLength: Int { configuration.contextLength }
}
