public import AngelCore
import AngelNN

/// Everything a run is told: the recipe's groups, each with its defaults.
public struct TrainingRecipe: Configurable, Hashable {
  /// What is trained for.
  public enum Stage: String, ConfigurationChoice {
    /// The next token of plain text.
    case pretrain
    /// The answers of conversations.
    case sft
    /// What a teacher would say about either.
    case distill
  }

  /// What products are computed in.
  public enum Precision: String, ConfigurationChoice {
    case f32, bf16

    /// What training computes in (`Module.compute`).
    public var dtype: DType { self == .bf16 ? .bfloat16 : .float32 }
    /// What constants are computed in: teachers, and the model while it is validated.
    var arithmetic: Arithmetic { self == .bf16 ? .bf16 : .f32 }
  }

  public var stage = Stage.sft
  /// A model of the store, a folder or a file to begin from.
  public var model: String?
  /// A new model to begin with.
  public var architecture: ArchitectureConfiguration?
  /// Of a new model: the number of its layers, from which everything follows that the recipe does not say
  /// (`RecipeDial`).
  public var depth: Int?
  /// The same by a number of parameters, such as `124m`.
  public var size: String?
  /// The tokenizer of a new model: that of a model, `byte`, `character`, or one to learn.
  public var tokenizer: WordOrGroup<TokenizerConfiguration>?
  /// A chat template by name, or its file: for a model that brings none, or in place of its own.
  public var chatTemplate: String?
  public var data = DataConfiguration()
  /// Tokens read by the longest sequence.
  public var sequenceLength = 512
  /// Sequences of that length in a batch; packed batches have as many rows.
  public var batchSize = 4
  public var precision = Precision.bf16
  public var optimizer = OptimizerConfiguration()
  public var learningRate = LearningRateSchedule()
  public var training = TrainingSchedule()
  public var lora: LoRAConfiguration?
  public var experts: ExpertConfiguration?
  /// Of stage distill.
  public var distill: DistillationConfiguration?
  /// Parameters that stay as they are, by pattern (`ParameterPattern`).
  public var freeze: [String] = []
  public var output = OutputConfiguration()
  public var mesh = MeshConfiguration()
  public var seed = 0

  public init() {}

  public static let fields: [ConfigurationField<Self>] = [
    .value(
      "stage", \.stage, "pretrain: the next token of text; sft: the answers of conversations; distill: a teacher's"),
    .value("model", \.model, "what to begin from: a name in the store, a folder or a file"),
    .group("architecture", \.architecture, "a new model to begin with"),
    .value("depth", \.depth, in: 1...128, "of a new model: layers, from which all that is not said follows"),
    .value("size", \.size, "the same by a number of parameters, such as 124m"),
    .value("tokenizer", \.tokenizer, "of a new model: a model's name, byte, character, or one to learn"),
    .value("chat_template", \.chatTemplate, "chatml, gemma or a file: what writes turns; null: the model's own"),
    .group("data", \.data, "what is learnt from"),
    .value("sequence_length", \.sequenceLength, in: 1...1_048_576, "tokens read by the longest sequence"),
    .value("batch_size", \.batchSize, in: 1...65_536, "sequences of that length in a batch"),
    .value("precision", \.precision, "f32 or bf16: what products are computed in; weights are kept in f32"),
    .group("optimizer", \.optimizer, "how parameters change"),
    .group("schedule", \.learningRate, "how the learning rate goes"),
    .group("training", \.training, "how long, and how a step is made"),
    .group("lora", \.lora, "train adapters beside a frozen model"),
    .group("experts", \.experts, "what is asked of the routers of a model with experts; null: nothing"),
    .group("distill", \.distill, "the teacher of stage distill"),
    .value("freeze", \.freeze, "parameters that stay as they are, such as embedding* or blocks.0-11.*"),
    .group("output", \.output, "what is written, and when"),
    .group("mesh", \.mesh, "how the run is shared out over processes"),
    .value("seed", \.seed, in: 0...Int.max, "of first values, order and samples"),
  ]

  public func problems() -> [String] {
    var problems: [String] = []
    switch (model, architecture) {
    case (nil, nil): problems.append("neither model nor architecture is given: name a model, or describe a new one")
    case (.some, .some): problems.append("both model and architecture are given: a run begins from one of them")
    default: break
    }
    if architecture != nil, tokenizer == nil {
      problems.append("tokenizer is missing: a new model needs one (a model's name, byte, character, or one to learn)")
    }
    if model != nil, tokenizer != nil { problems.append("tokenizer is given, but a model brings its own") }
    if lora != nil, model == nil { problems.append("lora is given, but adapters need a model to stand beside") }
    if !freeze.isEmpty, model == nil { problems.append("freeze is given, but a new model has nothing worth keeping") }
    if !freeze.isEmpty, lora != nil {
      problems.append("freeze is given, but beside adapters the model is frozen anyway")
    }
    if stage == .distill, distill == nil { problems.append("stage distill needs a distill.teacher") }
    if stage != .distill, distill != nil { problems.append("distill is given, but the stage is \(stage.rawValue)") }
    problems += distill?.problems() ?? []
    if training.updateInBackward, optimizer.clip != nil {
      problems.append(
        "training.update_in_backward changes parameters before the norm of all gradients is known: set optimizer.clip=null"
      )
    }
    if training.updateInBackward, training.accumulation > 1 {
      problems.append(
        "training.update_in_backward changes parameters before the gradients of \(training.accumulation) batches are summed: "
          + "set training.accumulation=1, or leave it out")
    }
    if training.updateInBackward, mesh.processCount > 1 {
      problems.append(
        "training.update_in_backward changes parameters before other processes' gradients are known: leave mesh out, or "
          + "this setting")
    }
    if chatTemplate != nil, rowsAreTexts { problems.append("chat_template is given, but the rows are texts") }
    if stage == .sft, model == nil { problems.append("stage sft needs a model with a chat template") }
    problems += architecture?.problems() ?? []
    if case .group(let learnt)? = tokenizer { problems += learnt.problems() }
    problems += data.problems()
    problems += mesh.problems()
    if mesh.tensor > 1 { problems += problemsOfSharedLayers }
    return problems
  }

  /// What cannot be trained yet where layers are shared out.
  private var problemsOfSharedLayers: [String] {
    var problems: [String] = []
    func refuse(_ what: String, _ remedy: String) {
      problems.append("mesh.tensor is \(mesh.tensor), but \(what): \(remedy)")
    }
    if lora != nil { refuse("adapters are not shared out yet", "use mesh.data") }
    if distill != nil { refuse("a teacher is not shared out yet", "use mesh.data") }
    if ![.adamw, .lion, .sgd].contains(optimizer.rule) {
      refuse("\(optimizer.rule.rawValue) has to see whole matrices", "use adamw, lion or sgd")
    }
    return problems
  }

  /// Whether rows are texts of which the next token is learnt, rather than conversations.
  public var rowsAreTexts: Bool { stage == .pretrain || (stage == .distill && distill?.texts == true) }

  /// Whether the run validates or samples.
  var validates: Bool {
    !data.validation.isEmpty || data.validationRatio > 0 || !output.samples.isEmpty
  }

  /// What a continued run must not change: everything but how long it goes, on how many processes, and what it writes.
  public var continuationDigestText: String {
    guard case .object(var object) = json else { return "" }
    for key in ["mesh", "output", "training"] { object[key] = nil }
    object["accumulation"] = .integer(training.accumulation)
    return JSONValue.object(object).encoded()
  }
}
