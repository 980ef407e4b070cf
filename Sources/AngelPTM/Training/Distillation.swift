import AngelData
import AngelModels
import AngelNN
import AngelTensor

/// A model that is learnt from, and how much.
struct Distillation {
  /// Its parameters are constants.
  let teacher: any LanguageModel
  let configuration: DistillationConfiguration
  /// How the layers of both are compared; nil where only what the teacher says is learnt.
  let hidden: HiddenStateMatching?

  /// What is learnt beside the model.
  var parameters: [(path: String, parameter: Parameter)] { hidden?.parameters ?? [] }

  /// The loss of a batch: the data's own by 1 - weight, and by weight the divergence from the teacher, KL(teacher ‖
  /// model) at the temperature, times its square so that gradients keep their size (arXiv:1503.02531, §2). What layers
  /// differ in is added to it.
  ///
  /// Rows count as their targets do; all is divided by `weight`.
  func loss(
    of batch: TokenBatch, _ model: some LanguageModel, weight: Double, recomputesLayers: Bool,
    routers: RouterRegularizer? = nil, on backend: any Backend
  ) -> Tensor {
    let lengths = zip(batch.bounds, batch.bounds.dropFirst()).map { $1 - $0 }
    var context = ForwardContext(segments: Segments(lengths: lengths, on: backend))
    let outputs = hidden?.outputs
    let tokens = Tensor(batch.inputs, on: backend)
    if let outputs { context.watch = { outputs.teacher.add($1) } }
    let taught = teacher.hidden(tokens, context).detached
    if let outputs { context.watch = { outputs.own.add($1) } }
    context.recomputesLayers = recomputesLayers
    context.routers = routers
    let last = model(tokens, context)
    let weights = Tensor(batch.weights.map { $0 * Float(1 / weight) }, on: backend)
    var parts: [Tensor] = []
    if configuration.weight > 0 {
      parts.append(divergence(last, taught, batch, model, weight: weight, on: backend))
    }
    if configuration.weight < 1 {
      let targets = PredictionTargets(
        tokens: Tensor(batch.targets, on: backend), weights: weights * (1 - configuration.weight))
      parts.append(model.crossEntropy(of: last, targets).reshaped(1))
    }
    if let hidden, let outputs { parts.append(hidden.loss(outputs.own, outputs.teacher, weights: weights)) }
    return parts.dropFirst().reduce(parts[0]) { $0 + $1 }
  }

  /// The divergence, a chunk of rows at a time: the logits of neither model exist whole, and those of a chunk are made
  /// again for its gradients.
  private func divergence(
    _ hidden: Tensor, _ taught: Tensor, _ batch: TokenBatch, _ model: some LanguageModel, weight: Double,
    on backend: any Backend
  ) -> Tensor {
    let temperature = configuration.temperature
    let share = Float(configuration.weight * temperature * temperature / weight)
    let rows = max(1, Self.logitBytes / (4 * model.vocabularySize))
    var total = Tensor([Float(0)], shape: [1], on: backend)
    for start in stride(from: 0, to: batch.rowCount, by: rows) {
      let range = start..<min(start + rows, batch.rowCount)
      guard batch.weights[range].contains(where: { $0 != 0 }) else { continue }
      let weights = Tensor(batch.weights[range].map { $0 * share }, on: backend)
      let teacher = teacher
      let part = hidden.prefix(range).recomputed { hidden in
        let target = (teacher.scores(taught.prefix(range)) / temperature).softmax()
        let logits = model.logits(of: hidden).cast(to: .float32) / temperature
        return Self.divergence(logits, target, weights: weights)
      }
      total = total + part
    }
    return total
  }

  /// Σ w (Σ p log p - Σ p log softmax(logits)) over rows of `logits` and probabilities `target`, both [R, V]: [1].
  static func divergence(_ logits: Tensor, _ target: Tensor, weights: Tensor) -> Tensor {
    // Less the greatest first: exp overflows float32 above 88.7.
    let shifted = logits - logits.detached.max(over: 1)
    let sums = log(exp(shifted).sum(over: 1))  // [R, 1]
    let cross = sums - (target * shifted).sum(over: 1)
    let entropy = (target * log(maximum(target, target.constant(1e-30)))).sum(over: 1)
    return ((cross + entropy) * weights.reshaped(-1, 1)).sum(over: 0).reshaped(1)
  }

  /// The most bytes of float32 logits of a chunk.
  private static let logitBytes = 32 << 20
}

extension LanguageModel {
  fileprivate var vocabularySize: Int { configuration.vocabularySize }
  fileprivate func hidden(_ tokens: Tensor, _ context: ForwardContext) -> Tensor { self(tokens, context) }
  fileprivate func scores(_ hidden: Tensor) -> Tensor { logits(of: hidden).detached.cast(to: .float32) }
}
