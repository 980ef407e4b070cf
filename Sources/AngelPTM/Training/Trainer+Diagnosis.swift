import AngelCore
import AngelData
import AngelModels
import AngelNN
import AngelTensor
import Synchronization

extension Trainer {
  /// Where values first stopped being finite in a step of these batches: in the weights, in the forward pass by its
  /// layers, or in the backward pass, which goes from the last layer to the first.
  ///
  /// Runs the forward pass once more, so it is asked only of steps that are left out.
  /// Of several processes the first alone looks, at what it holds: where parameters or layers are parted, at gradients only.
  func firstNotFinite(in batches: [TokenBatch], _ gradients: [NamedGradient]) throws -> String {
    if !layout.needsRecomputation, layout.peers == nil, let place = try firstNotFinite(in: batches) { return place }
    let broken = try gradients.filter { try !isFinite($0.gradient) }
    // The backward pass comes to the later layers first.
    if let last = broken.last { return "the gradient of \(last.path), backward" }
    return "the loss itself"
  }

  private func firstNotFinite(in batches: [TokenBatch]) throws -> String? {
    for (path, parameter) in model.parameterShapes() {
      guard let values = parameter.trainedValues?.values else { continue }
      if try !isFinite(values) { return "the weights of \(path), before the step" }
    }
    for batch in batches {
      if let layer = try model.firstNotFiniteLayer(of: batch, on: backend) { return "\(layer), forward" }
    }
    return nil
  }

  private func isFinite(_ tensor: Tensor) throws -> Bool { try GradientNorm.of([tensor]).isFinite }
}

extension LanguageModel {
  /// The first layer whose output is not finite; nil when all are.
  fileprivate func firstNotFiniteLayer(of batch: TokenBatch, on backend: any Backend) throws -> String? {
    let lengths = zip(batch.bounds, batch.bounds.dropFirst()).map { $1 - $0 }
    let sums = LayerSums()
    var context = ForwardContext(segments: Segments(lengths: lengths, on: backend))
    context.watch = { sums.add($0, $1) }
    let hidden = self(Tensor(batch.inputs, on: backend), context).detached
    for (index, (input, output)) in sums.all.enumerated() {
      if index == 0, try !Self.isFinite(input) { return "the embedding" }
      if try !Self.isFinite(output) { return "layer \(index)" }
    }
    let last = hidden.cast(to: .float32).squareSums()
    return try Self.isFinite(last) ? nil : "the last norm"
  }

  private static func isFinite(_ squareSums: Tensor) throws -> Bool {
    try squareSums.read(as: Double.self).allSatisfy(\.isFinite)
  }
}

/// Sums of squares of what goes into each layer and of what comes out of it.
private final class LayerSums: Sendable {
  private let sums = Mutex<[(input: Tensor, output: Tensor)]>([])

  var all: [(input: Tensor, output: Tensor)] { sums.withLock { $0 } }

  func add(_ input: Tensor, _ output: Tensor) {
    func squares(_ tensor: Tensor) -> Tensor { tensor.detached.cast(to: .float32).squareSums() }
    let pair = (squares(input), squares(output))
    sums.withLock { $0.append(pair) }
  }
}
