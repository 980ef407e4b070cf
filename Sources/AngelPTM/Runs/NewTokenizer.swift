import AngelCheckpoint
import AngelCore
import AngelData
import AngelText

/// The tokenizer of a new model: taken from another, made of bytes or characters, or learnt from the texts.
struct NewTokenizer {
  private let recipe: TrainingRecipe
  private let openModel: (String) throws -> Checkpoint
  private let progress: ProgressReporter
  private let interruption: Interruption

  init(_ recipe: TrainingRecipe, _ surroundings: TrainingRun.Surroundings) {
    self.recipe = recipe
    openModel = surroundings.openModel
    progress = surroundings.progress
    interruption = surroundings.interruption
  }

  /// How many tokens the recipe's tokenizer has; of one that is to be learnt, at most.
  static func vocabularySize(
    of recipe: TrainingRecipe, _ openModel: @escaping (String) throws -> Checkpoint
  ) throws -> Int {
    if case .group(let configuration)? = recipe.tokenizer { return configuration.vocabularySize }
    return try Tokenizer(NewTokenizer(recipe, openModel).make().0).vocabularySize
  }

  private init(_ recipe: TrainingRecipe, _ openModel: @escaping (String) throws -> Checkpoint) {
    self.recipe = recipe
    self.openModel = openModel
    progress = .silent
    interruption = Interruption()
  }

  /// The tokenizer, with the chat template of the model it is taken from.
  func make() throws -> (TokenizerDescription, ChatTemplate?) {
    switch recipe.tokenizer {
    case .word("byte")?: return (.bytes(), nil)
    case .word("character")?:
      var scalars: Set<Unicode.Scalar> = []
      for paths in recipe.data.trainGroups + recipe.data.validation.map({ [$0] }) {
        try forEachText(of: paths) { scalars.formUnion($0.unicodeScalars) }
      }
      return (.characters(scalars), nil)
    case .word(let name)?:
      let checkpoint = try openModel(name)
      return (try checkpoint.tokenizer(), try checkpoint.chatTemplate.map { try ChatTemplate($0) })
    case .group(let configuration)?: return (try learn(configuration), nil)
    case nil: throw PTMError.recipe("tokenizer is missing: a new model needs one")
    }
  }

  private func learn(_ configuration: TokenizerConfiguration) throws -> TokenizerDescription {
    var trainer = try BytePairTrainer(
      vocabularySize: configuration.vocabularySize, pattern: configuration.pattern,
      specialTokens: configuration.specialTokens)
    for paths in recipe.data.trainGroups { try forEachText(of: paths) { try trainer.add($0) } }
    let display = progress.start(
      "learning the tokenizer", total: configuration.vocabularySize, unit: .items("tokens"))
    defer { display.finish() }
    return try trainer.train { count in
      if count % 64 == 0 { try interruption.check() }
      display.update(to: count)
    }
  }

  /// Calls `body` with the texts of `paths`, which are read as one: as many as the recipe reads of such.
  private func forEachText(of paths: [String], _ body: (String) throws -> Void) throws {
    var left = recipe.data.rows ?? .max
    for path in paths {
      guard !path.hasSuffix(".tokens") else {
        throw DataError.unusable(
          path: path, reason: "the recipe's tokenizer is made from text, which files of tokens no longer have")
      }
      let reader = try RecordReader(path: path, keys: [recipe.data.textKey])
      while left > 0, let record = try reader.next() {
        try interruption.check()
        try body(record.text(key: recipe.data.textKey))
        if !record.continues { left -= 1 }
      }
    }
  }
}
