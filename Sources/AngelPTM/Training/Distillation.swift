import AngelData
import AngelModels
import AngelNN
import AngelTensor

/// A model that is learnt from, and how much.
struct Distillation {
  /// Its parameters are constants.
  let teacher: any LanguageModel
  let configuration: DistillationConfiguration

  /// The loss of a batch: the data's own by 1 - weight, and by weight the divergence from the teacher, KL(teacher ‖
  /// model) at the temperature, times its square so that gradients keep their size (arXiv:1503.02531, §2).
  ///
  /// Rows count as their targets do; all is divided by `weight`.
  func loss(
    of batch: TokenBatch, _ model: some LanguageModel, weight: Double, recomputesLayers: Bool,
    routers: RouterRegularizer? = nil, on backend: any Backend
  ) -> Tensor {
    let lengths = zip(batch.bounds, batch.bounds.dropFirst()).map { $1 - $0 }
    var context = ForwardContext(segments: Segments(lengths: lengths, on: backend))
    let tokens = Tensor(batch.inputs, on: backend)
    let taught = teacher.hidden(tokens, context).detached
    context.recomputesLayers = recomputesLayers
    context.routers = routers
    let hidden = model(tokens, context)
    let divergence = divergence(hidden, taught, batch, model, weight: weight, on: backend)
    guard configuration.weight < 1 else { return divergence }
    let share = Float((1 - configuration.weight) / weight)
    let own = model.crossEntropy(
      of: hidden,
      PredictionTargets(
        tokens: Tensor(batch.targets, on: backend), weights: Tensor(batch.weights.map { $0 * share }, on: backend)))
    return divergence + own.reshaped(1)
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
