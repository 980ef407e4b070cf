public import AngelCheckpoint
public import AngelCore
import AngelText
import Glibc

/// One dial for a new model: `depth: 12` or `size: 124m` gives every number of a pretraining recipe that is not written
/// there, each with the rule it comes from.
public struct RecipeDial: Sendable {
  /// A value that was derived.
  public struct Derived: Sendable, Hashable {
    /// `architecture.width`
    public let key: String
    public let value: String
    /// Why it is so, with its source.
    public let rule: String

    public var json: JSONValue { ["key": .string(key), "value": .string(value), "rule": .string(rule)] }
  }

  /// The recipe with everything filled in, and what was filled in; nothing where the recipe has no dial.
  ///
  /// - Parameter openModel: the files of the model whose tokenizer the recipe names.
  public static func recipe(
    _ node: RecipeNode, openModel: @escaping (String) throws -> Checkpoint
  ) throws -> (recipe: TrainingRecipe, derived: [Derived]) {
    // A finished recipe says that it has none, as null.
    guard node.says("depth") || node.says("size") else { return (try TrainingRecipe(recipe: node), []) }
    guard !node.says("model"), !node.says("stage") || node["stage"]?.content == .string("pretrain") else {
      throw PTMError.recipe("size and depth describe a new model: they need stage pretrain and no model")
    }
    // A first reading finds the tokenizer; any architecture will do for it.
    var draft = try node.without("architecture").overlaid(with: "architecture.layers=1")
    if !node.says("stage") { draft = try draft.overlaid(with: "stage=pretrain") }
    let recipe = try TrainingRecipe(recipe: draft)
    let vocabulary = try NewTokenizer.vocabularySize(of: recipe, openModel)
    let dial = try RecipeDial(recipe, vocabularySize: vocabulary)
    // Then the model is what recipe and dial say together, and the rest follows from its size.
    let model = try TrainingRecipe(recipe: node.filled(with: dial.shape(parameters: 0)).node).architecture?
      .makeModel(vocabularySize: vocabulary, sequenceLength: recipe.sequenceLength)
    let parameters = model?.parameterCount ?? 0
    let length = node.says("sequence_length") ? recipe.sequenceLength : Self.sequenceLength(parameters)
    let values =
      dial.shape(parameters: parameters)
      + dial.course(parameters, length: length, batch: node.says("batch_size") ? recipe.batchSize : nil)
    let (result, derived) = try node.filled(with: values)
    return (try TrainingRecipe(recipe: result), derived)
  }

  private let depth: Int
  private let vocabularySize: Int
  private let recipe: TrainingRecipe

  init(_ recipe: TrainingRecipe, vocabularySize: Int) throws {
    self.recipe = recipe
    self.vocabularySize = vocabularySize
    switch (recipe.depth, recipe.size) {
    case (let depth?, nil): self.depth = depth
    case (nil, let size?):
      guard let wanted = Self.count(size) else {
        throw PTMError.recipe("size is \(quoted(size)), expected a number of parameters such as 15m, 124m or 1.3b")
      }
      self.depth =
        Self.depths.min { one, other in
          abs(log(Double(Self.parameters(one, vocabularySize)) / wanted))
            < abs(log(Double(Self.parameters(other, vocabularySize)) / wanted))
        } ?? 1
    default: throw PTMError.recipe("both size and depth are given: one of them is the dial")
    }
  }

  static let depths = 1...128

  /// `124m`, `1.3b`, `350k` or a plain number.
  static func count(_ text: String) -> Double? {
    let units: [Character: Double] = ["k": 1e3, "m": 1e6, "b": 1e9]
    guard let last = text.lowercased().last else { return nil }
    let unit = units[last]
    guard let number = Double(unit == nil ? text : String(text.dropLast())), number > 0, number.isFinite else {
      return nil
    }
    return number * (unit ?? 1)
  }

  private static func width(_ depth: Int) -> Int { 64 * depth }
  private static func inner(_ depth: Int) -> Int { (width(depth) * 8 / 3 + 31) / 32 * 32 }

  /// Values of a Llama of this depth whose embedding is its output head.
  static func parameters(_ depth: Int, _ vocabularySize: Int) -> Int {
    let (width, inner) = (width(depth), inner(depth))
    return depth * (4 * width * width + 3 * width * inner + 2 * width) + vocabularySize * width + width
  }

  /// What makes the model.
  ///
  /// - Parameter parameters: how many it turns out to have.
  private func shape(parameters: Int) -> [Derived] {
    let width = Self.width(depth)
    let size = recipe.size.map { "size \($0): " } ?? ""
    let total = TextFormat.parameters(parameters)
    return [
      Derived(
        key: "stage", value: "pretrain", rule: "a new model knows nothing that could be tuned"),
      Derived(
        key: "architecture.layers", value: "\(depth)",
        rule: "\(size)\(total) parameters, the embedding of \(TextFormat.count(vocabularySize)) tokens included"),
      Derived(
        key: "architecture.width", value: "\(width)",
        rule: "64 a layer: 768 at 12 layers as GPT-2; the ratio matters little (arXiv:2001.08361, §3.1)"),
      Derived(
        key: "architecture.heads", value: "\(depth)", rule: "heads of 64 values (GPT-2; arXiv:1706.03762, §3.2.2)"),
      Derived(
        key: "architecture.inner", value: "\(Self.inner(depth))",
        rule: "8/3 of the width: a gated layer with the parameters of one of 4 (arXiv:2002.05202, §3)"),
      Derived(
        key: "architecture.tie_embeddings", value: "true", rule: "the head is the embedding (arXiv:1608.05859)"),
    ]
  }

  /// How a model of so many parameters is trained, in the order in which one follows from the other.
  private func course(_ parameters: Int, length: Int, batch written: Int?) -> [Derived] {
    let tokens = 20 * Double(parameters)
    // Operations of the run, by C = 6 N D.
    let compute = 6 * Double(parameters) * tokens
    let rate = 0.3118 * pow(compute, -0.125)
    let ideal = 0.292 * pow(compute, 0.3271)
    let batch = written ?? max(1, min(Int(ideal) / length, max(1, 4096 / length)))
    let accumulation = max(1, Int((ideal / Double(batch * length)).rounded()))
    let steps = max(1, Int((tokens / Double(batch * length * accumulation)).rounded(.up)))
    let warmup = max(1, min(2000, steps / 50))
    return [
      Derived(key: "sequence_length", value: "\(length)", rule: "1024 as GPT-2; 256 for models below 20 M parameters"),
      Derived(
        key: "optimizer.learning_rate", value: Self.digits(rate),
        rule: "0.3118 C^-0.125, C = \(DoctorText.small(compute)) operations (arXiv:2401.02954, equation 1)"),
      Derived(
        key: "batch_size", value: "\(batch)",
        rule: "at most 4,096 tokens at a time, so that activations stay small"),
      Derived(
        key: "training.accumulation", value: "\(accumulation)",
        rule: "a step of \(TextFormat.count(Int(ideal))) tokens, 0.292 C^0.3271 (arXiv:2401.02954, equation 1)"),
      Derived(
        key: "training.steps", value: "\(steps)",
        rule: "\(TextFormat.count(Int(tokens))) tokens, 20 a parameter (arXiv:2203.15556, table 3)"),
      Derived(
        key: "schedule.warmup", value: "\(warmup)",
        rule: "2,000 steps (arXiv:2302.13971, §2.3), at most a fiftieth of the run"),
      Derived(
        key: "schedule.shape", value: "cosine",
        rule: "over the whole run, down to a tenth (arXiv:2203.15556, appendix B)"),
      Derived(key: "optimizer.weight_decay", value: "0.1", rule: "arXiv:2302.13971, §2.2"),
      Derived(key: "optimizer.beta2", value: "0.95", rule: "arXiv:2302.13971, §2.2"),
      Derived(key: "optimizer.clip", value: "1", rule: "arXiv:2302.13971, §2.2"),
    ]
  }

  private static func sequenceLength(_ parameters: Int) -> Int { parameters < 20_000_000 ? 256 : 1024 }

  /// Three digits of a rate below 1.
  private static func digits(_ rate: Double) -> String {
    var digits = 3
    var limit = 0.1
    while rate < limit, digits < 9 { (digits, limit) = (digits + 1, limit / 10) }
    return TextFormat.fixed(rate, digits: digits)
  }
}

extension RecipeNode {
  /// This group of keys without one of them.
  fileprivate func without(_ key: String) -> RecipeNode {
    guard case .map(let entries) = content else { return self }
    return RecipeNode(.map(entries.filter { $0.key != key }), origin: origin)
  }

  /// This recipe with those of `values` laid over it that it does not say itself, and which they are.
  fileprivate func filled(
    with values: [RecipeDial.Derived]
  ) throws -> (node: RecipeNode, derived: [RecipeDial.Derived]) {
    let missing = values.filter { !says($0.key) }
    return (try missing.reduce(self) { try $0.overlaid(with: "\($1.key)=\($1.value)") }, missing)
  }

  /// Whether a value, not null, stands at a dotted key.
  fileprivate func says(_ key: String) -> Bool {
    var node: RecipeNode? = self
    for word in key.split(separator: ".") { node = node?[String(word)] }
    return node.map { $0.content != .null } ?? false
  }
}
