import AngelCore
public import AngelData
public import AngelDistributed
public import AngelModels
import AngelNN
public import AngelTensor

/// Takes a model through its steps: batch, loss, gradients, clipping, update.
///
/// A step is a function of the parameters, the optimizer's states and the step's number, so a run that is stopped and
/// taken up again from a checkpoint has the bits of one that was not.
public final class Trainer {
  public let model: any LanguageModel
  public let source: any BatchSource
  public let schedule: TrainingSchedule
  /// Steps taken.
  public internal(set) var step = 0
  /// Steps of the whole run.
  public let stepCount: Int
  /// Steps that were left out since the run began.
  public internal(set) var skippedSteps = 0
  let optimizer: any Optimizer
  let parameters: [(path: String, parameter: Parameter)]
  /// How a step lies on processes.
  let layout: any StepLayout
  /// Nil where the recipe keeps none.
  let average: WeightAverage?
  let backend: any Backend
  let optimizerConfiguration: OptimizerConfiguration
  private let learningRate: LearningRateSchedule
  let upRatio: Double
  private let distillation: Distillation?
  let operationsPerToken: Double
  let experts: ExpertConfiguration
  /// The numbers of parameters by their leaves.
  let places: [ObjectIdentifier: Int]
  private var skippedInARow = 0

  /// The gradient of one parameter.
  typealias NamedGradient = (path: String, parameter: Parameter, gradient: Tensor)

  /// - Parameters:
  ///   - model: its trained parameters are those that get gradients; at least one.
  ///   - experts: what is asked of its routers, if it has any; nil: nothing.
  ///   - upRatio: how many times the learning rate an adapter's B takes (LoRA+).
  public convenience init(
    _ model: any LanguageModel, source: any BatchSource, optimizer: OptimizerConfiguration,
    learningRate: LearningRateSchedule, schedule: TrainingSchedule, experts: ExpertConfiguration? = nil,
    upRatio: Double = 1, on backend: any Backend
  ) throws {
    try self.init(
      model, source: source, optimizer: optimizer, learningRate: learningRate, schedule: schedule, experts: experts,
      upRatio: upRatio, distillation: nil, makeLayout: { SoloLayout($0) }, on: backend)
  }

  /// One of the processes of a mesh; all make it with the same model, of which each keeps its part.
  public convenience init(
    _ model: any LanguageModel, source: any BatchSource, optimizer: OptimizerConfiguration,
    learningRate: LearningRateSchedule, schedule: TrainingSchedule, _ configuration: MeshConfiguration,
    mesh: DeviceMesh?, on backend: any Backend
  ) throws {
    let part = try MeshPart(model, configuration, mesh)
    try self.init(
      part.model, source: source, optimizer: optimizer, learningRate: learningRate, schedule: schedule, experts: nil,
      upRatio: 1, distillation: nil, makeLayout: { try part.makeLayout($0, optimizer, on: backend) }, on: backend)
  }

  /// - Parameters:
  ///   - distillation: the teacher that is learnt from, nil for the data's own loss.
  ///   - makeLayout: shares the trained parameters out over processes.
  init(
    _ model: any LanguageModel, source: any BatchSource, optimizer: OptimizerConfiguration,
    learningRate: LearningRateSchedule, schedule: TrainingSchedule, experts: ExpertConfiguration?, upRatio: Double,
    distillation: Distillation?, makeLayout: ([(path: String, parameter: Parameter)]) throws -> any StepLayout,
    on backend: any Backend
  ) throws {
    self.model = model
    self.source = source
    self.schedule = schedule
    self.learningRate = learningRate
    self.backend = backend
    self.experts = experts ?? .none
    self.upRatio = upRatio
    self.distillation = distillation
    optimizerConfiguration = optimizer
    self.optimizer = optimizer.makeOptimizer(on: backend)
    stepCount = schedule.stepCount(batchesPerEpoch: source.batchesPerEpoch)
    let own = model.trainedParameters
    guard !own.isEmpty else { throw PTMError.recipe("no parameter is trained: nothing would be learnt") }
    parameters = own + (distillation?.parameters ?? [])
    places = Dictionary(
      parameters.enumerated().map { (ObjectIdentifier($1.parameter.leaf), $0) }, uniquingKeysWith: { first, _ in first }
    )
    layout = try makeLayout(parameters)
    operationsPerToken = StepArithmetic(model, distillation).operationsPerToken
    let (paths, owned) = (Set(own.map(\.path)), layout.owned)
    average = try optimizer.ema.map { try WeightAverage($0, of: owned.filter { paths.contains($0.path) }, on: backend) }
  }

  /// Takes one step and says what it did. Throws when too many steps in a row had to be left out.
  public func takeStep() throws -> StepRecord {
    let clock = ContinuousClock()
    let begin = clock.now
    let batches = try (0..<schedule.accumulation).map { try source.batch(step * schedule.accumulation + $0) }
    let weight = batches.reduce(0) { $0 + $1.weightSum }
    guard weight > 0 else {
      throw PTMError.recipe("step \(step + 1): no token of its batch is trained; look at the rows' answers and weights")
    }
    let rate = optimizerConfiguration.learningRate * learningRate.ratio(at: step, of: stepCount)
    let outcome =
      schedule.updateInBackward
      ? try updateInBackward(of: batches[0], weight: weight, rate: rate)
      : try updateAfterBackward(of: batches, weight: weight, rate: rate)
    try backend.synchronize()
    step += 1
    let tokens = batches.reduce(0) { $0 + $1.rowCount }
    let elapsed = (clock.now - begin) / .seconds(1)
    return StepRecord(
      step: step, loss: outcome.loss, gradientNorm: outcome.norm, learningRate: rate, tokens: tokens,
      trainedTokens: batches.reduce(0) { $0 + $1.weights.count { $0 != 0 } }, seconds: elapsed,
      gigaflops: operationsPerToken * Double(tokens) / 1e9 / max(elapsed, 1e-9), isSkipped: outcome.culprit != nil,
      culprit: outcome.culprit, updateRatios: outcome.ratios, experts: outcome.load,
      waitedSeconds: layout.waitedSeconds, takenSeconds: layout.takenSeconds)
  }

  /// When what the last step sent could go and was missed; nil where nothing goes beside passes and updates.
  public var lastSchedule: StepSchedule? { layout.schedule }

  /// Counts a step that was left out; throws when there were too many in a row.
  ///
  /// Apart from `takeStep`, so that the record of the last one is written before the run ends.
  public func count(_ record: StepRecord) throws {
    guard record.isSkipped else {
      skippedInARow = 0
      return
    }
    skippedInARow += 1
    skippedSteps += 1
    guard skippedInARow < schedule.skipLimit else {
      throw PTMError.notFinite(
        step: record.step, what: record.notFiniteName, first: record.culprit ?? "", skipped: skippedInARow)
    }
  }

  /// The loss of all batches together, divided by the weight of them all, and its gradients by what is owned.
  func gradients(
    of batches: [TokenBatch], weight: Double
  ) throws -> (loss: Double, gradients: [NamedGradient], load: ExpertRecord?) {
    let rowCount = Double(batches.reduce(0) { $0 + $1.rowCount })
    let passes = layout.passes(of: batches)
    layout.begin(step: step + 1)
    let reports = try passes.enumerated().map { index, pass in
      try run(pass, weight: weight, rowCount: rowCount, isLast: index == passes.count - 1)
    }
    let gradients = try layout.finish()
    let all = try layout.gathered(reports.map(\.numbers)).map {
      PassReport(numbers: $0, expertCounts: reports[0].expertCounts)
    }
    return (all.reduce(0) { $0 + $1.loss }, gradients, ExpertRecord(all.filter(\.counts).map(\.loads)))
  }

  /// One pass, forward and backward, whose gradients go to the layout as they become final.
  private func run(_ pass: StepPass, weight: Double, rowCount: Double, isLast: Bool) throws -> PassReport {
    let routers = RouterRegularizer(
      balance: experts.balance, z: experts.z,
      // Peers all look at the same scores, and their gradients are summed.
      share: pass.counts ? Double(pass.batch.rowCount) / rowCount / Double(layout.peers?.count ?? 1) : 0)
    let loss = loss(of: pass.batch, weight: weight, routers)
    loss.backward { leaf, gradient in
      guard let place = places[ObjectIdentifier(leaf)] else { return }
      layout.take(gradient, of: place, isLastPass: isLast)
    }
    layout.endPass()
    try backend.synchronize()
    return PassReport(
      loss: Double(try loss.detached.read(as: Float.self)[0]), loads: try routers.loads(), counts: pass.counts)
  }

  /// The loss of a batch, divided by `weight`, with its graph.
  func loss(of batch: TokenBatch, weight: Double, _ routers: RouterRegularizer) -> Tensor {
    let recomputes = schedule.recompute || layout.needsRecomputation
    return distillation?.loss(
      of: batch, model, weight: weight, recomputesLayers: recomputes, routers: routers, on: backend)
      ?? model.loss(
        of: batch, weight: weight, recomputesLayers: recomputes, routers: routers, peers: layout.peers, on: backend)
  }
}
