import AngelCheckpoint
import AngelCore
import AngelData
import AngelModels
import AngelNN
import AngelTensor

/// The recipe's model and optimizer at work on a few rows, step by step as the doctor's checks ask.
final class DoctorModel {
  private let recipe: TrainingRecipe
  private let preparation: Preparation
  private let backend: any Backend
  private let samples: [TokenSample]
  /// Where the model is saved for a moment.
  private let folder: String
  private var trainer: Trainer?

  init(
    _ recipe: TrainingRecipe, _ preparation: Preparation, _ samples: [TokenSample], folder: String,
    on backend: any Backend
  ) {
    self.recipe = recipe
    self.preparation = preparation
    self.samples = samples
    self.folder = folder
    self.backend = backend
  }

  /// The trainer of now, made when it is first asked for.
  private func current() throws -> Trainer {
    if let trainer { return trainer }
    var schedule = TrainingSchedule()
    schedule.steps = 4
    schedule.recompute = recipe.training.recompute
    schedule.updateInBackward = recipe.training.updateInBackward
    var rate = LearningRateSchedule()
    rate.shape = .constant
    let made = try preparation.makeTrainer(
      RepeatedBatch(batch: TokenBatch(samples)), learningRate: rate, schedule: schedule, on: backend)
    trainer = made
    return made
  }

  /// The loss and the gradients of a step made of these batches; nothing is changed.
  func step(_ batches: [TokenBatch]) throws -> AccumulationCheck.Step {
    let pass = try current().gradients(of: batches, weight: batches.reduce(0) { $0 + $1.weightSum })
    return (pass.loss, pass.gradients)
  }

  /// Rows of the samples that each expert takes, a layer with experts at a time; nil for a model without any.
  func expertLoads() throws -> BalanceCheck.Loads? {
    let batch = TokenBatch(samples)
    let record = try current().gradients(of: [batch], weight: batch.weightSum).load
    return record?.counts.enumerated().map { ("layer \($0.offset + 1) of those with experts", $0.element) }
  }

  func rowLosses(_ batch: TokenBatch) throws -> [Double] { try current().model.sequenceLosses(of: batch, on: backend) }

  /// Takes a step and gives the norms of the gradients after it.
  func gradientNorms() throws -> [(path: String, norm: Double?)] {
    let trainer = try current()
    if trainer.step == 0 { _ = try trainer.takeStep() }
    let batch = TokenBatch(samples)
    let gradients = try trainer.gradients(of: [batch], weight: batch.weightSum).gradients
    var norms: [String: Double] = [:]
    for entry in gradients { norms[entry.path] = try GradientNorm.of([entry.gradient]) }
    return trainer.parameters.map { ($0.path, norms[$0.path]) }
  }

  /// Two steps one after the other; saves after the first.
  func straight() throws -> [String: String] {
    let trainer = try current()
    if trainer.step == 0 { _ = try trainer.takeStep() }
    try TrainingCheckpoint.write(trainer, recipeDigest: "doctor", to: folder, keep: 1)
    _ = try trainer.takeStep()
    return try digests(trainer)
  }

  /// Loads what `straight` has saved into a new model and takes the second step.
  func resumed() throws -> [String: String] {
    trainer = nil
    let trainer = try current()
    try TrainingCheckpoint.latest(in: folder)?.restore(trainer)
    _ = try trainer.takeStep()
    return try digests(trainer)
  }

  private func digests(_ trainer: Trainer) throws -> [String: String] {
    Dictionary(
      uniqueKeysWithValues: try trainer.storedValues.map {
        ($0.name, try trainer.layout.whole($0).withHostBytes(TrainingCheckpoint.digest))
      })
  }

  /// Logits of a few rows with adapters of random values, beside the weights and added to them. The model is spent
  /// after it.
  func mergeLogits() throws -> MergeCheck.Logits {
    let model = try current().model
    defer { trainer = nil }
    return try model.mergeLogits(of: Array(samples[0].tokens.prefix(24)), on: backend)
  }
}

extension LanguageModel {
  /// The mean loss of each sequence of a batch by itself, the forward pass being that of the whole batch.
  func sequenceLosses(of batch: TokenBatch, on backend: any Backend) throws -> [Double] {
    let lengths = zip(batch.bounds, batch.bounds.dropFirst()).map { $1 - $0 }
    let context = ForwardContext(segments: Segments(lengths: lengths, on: backend))
    let hidden = self(Tensor(batch.inputs, on: backend), context).detached
    return try zip(batch.bounds, batch.bounds.dropFirst()).map { start, end in
      let weights = batch.weights[start..<end]
      let share = 1 / max(weights.reduce(0, +), 1e-30)
      let targets = PredictionTargets(
        tokens: Tensor(Array(batch.targets[start..<end]), on: backend),
        weights: Tensor(weights.map { $0 * share }, on: backend))
      return Double(try crossEntropy(of: hidden.prefix(start..<end), targets).detached.read(as: Float.self)[0])
    }
  }

  /// Logits of `tokens` without adapters, with adapters of random values, and with these added to the weights.
  fileprivate func mergeLogits(of tokens: [Int32], on backend: any Backend) throws -> MergeCheck.Logits {
    var model = self
    model.compute(in: .float32)
    model.visitLinearLayers { path, linear in
      guard let up = linear.adapter?.up else { return }
      // B is zero at first, and then merging could not go wrong.
      let generator = PhiloxGenerator(seed: UInt64(truncatingIfNeeded: path.utf8.count), stream: 5)
      let values = (0..<up.shape.elementCount).map { (generator.uniform(at: UInt64($0)) - 0.5) * 0.1 }
      up.value = .trained(Tensor(values, shape: up.shape, on: backend, kind: .weights))
    }
    func logits(_ model: Self) throws -> [Float] {
      let context = ForwardContext(segments: Segments(lengths: [tokens.count], on: backend))
      return try model.logits(of: model(Tensor(tokens, on: backend), context)).detached.read(as: Float.self)
    }
    var plain = model
    plain.visitLinearLayers { _, linear in linear.adapter = nil }
    let (base, adapted) = (try logits(plain), try logits(model))
    Adapters.merge(into: &model)
    return MergeCheck.Logits(base: base, adapted: adapted, merged: try logits(model))
  }
}
