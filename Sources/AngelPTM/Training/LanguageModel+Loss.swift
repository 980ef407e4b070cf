import AngelCore
import AngelData
import AngelModels
import AngelNN
import AngelTensor

extension LanguageModel {
  /// The loss of a batch: the cross-entropy of its targets times their weights, summed and divided by `weight`. What `routers`
  /// asks of experts is part of its gradients, not of its value. Where layers are shared out among `peers`, each scores its
  /// own rows, and the sum of all is on every one.
  func loss(
    of batch: TokenBatch, weight: Double, recomputesLayers: Bool, routers: RouterRegularizer? = nil,
    peers: (any LayerPeers)? = nil, on backend: any Backend
  ) -> Tensor {
    let lengths = zip(batch.bounds, batch.bounds.dropFirst()).map { $1 - $0 }
    var context = ForwardContext(segments: Segments(lengths: lengths, on: backend))
    context.recomputesLayers = recomputesLayers
    context.routers = routers
    let hidden = self(Tensor(batch.inputs, on: backend), context)
    let share = Float(1 / weight)
    let rows = peers?.rows(of: batch.rowCount) ?? 0..<batch.rowCount
    let result = crossEntropy(
      of: hidden,
      PredictionTargets(
        tokens: Tensor(Array(batch.targets[rows]), on: backend),
        weights: Tensor(batch.weights[rows].map { $0 * share }, on: backend)))
    return peers?.summed(result) ?? result
  }

  /// The mean loss of the first `count` batches of `source`, and the weight of their tokens. The model should be a
  /// detached one: others build graphs.
  func meanLoss(
    of source: any BatchSource, count: Int, on backend: any Backend, interruption: Interruption
  ) throws -> (loss: Double, weight: Double) {
    var (loss, weight) = (0.0, 0.0)
    for index in 0..<min(count, source.batchesPerEpoch) {
      try interruption.check()
      let batch = try source.batch(index)
      let mean = self.loss(of: batch, weight: batch.weightSum, recomputesLayers: false, on: backend).detached
      loss += Double(try mean.read(as: Float.self)[0]) * batch.weightSum
      weight += batch.weightSum
    }
    return (loss / weight, weight)
  }
}
