import AngelCore
import AngelModels
import AngelNN
import AngelTensor
import Synchronization

/// A model's layers compared with a teacher's: which with which, how, and what brings one's width to the other's.
struct HiddenStateMatching {
  private let pairs: [(own: Int, teacher: Int)]
  private let configuration: HiddenStateConfiguration
  /// Nil where both models are equally wide.
  private let projections: HiddenProjections?

  init(
    _ configuration: HiddenStateConfiguration, _ own: HiddenSizes, _ teacher: HiddenSizes, seed: UInt64,
    on backend: any Backend
  ) throws {
    self.configuration = configuration
    pairs = try configuration.pairs(layerCount: own.layerCount, teacherLayerCount: teacher.layerCount)
    projections =
      own.width == teacher.width
      ? nil : HiddenProjections(own.width, teacher.width, count: pairs.count, seed: seed, on: backend)
  }

  /// What is learnt beside the model.
  var parameters: [(path: String, parameter: Parameter)] {
    (projections?.trainedParameters ?? []).map { ("distillation." + $0.path, $0.parameter) }
  }

  /// What is to be kept of the model's layers, and of the teacher's, in a pass.
  var outputs: (own: LayerOutputs, teacher: LayerOutputs) {
    (LayerOutputs(pairs.map(\.own)), LayerOutputs(pairs.map(\.teacher)))
  }

  /// The mean over the pairs of their distances, each summed over the rows with `weights` [R]: [1].
  func loss(_ own: LayerOutputs, _ teacher: LayerOutputs, weights: Tensor) -> Tensor {
    let weights = weights * (configuration.weight / Double(pairs.count))
    let distance = configuration.distance
    let parts = pairs.enumerated().map { index, pair in
      let target = teacher[pair.teacher].detached.cast(to: .float32)
      let projection = projections?.layers[index]
      // What the distance makes on its way is as large as the states themselves: made again rather than kept.
      return own[pair.own].recomputed { hidden in
        let hidden = hidden.cast(to: .float32)
        return Self.distance(distance, projection?(hidden) ?? hidden, target, weights: weights)
      }
    }
    return parts.dropFirst().reduce(parts[0]) { $0 + $1 }
  }

  /// Σ w d(x, y) over rows of `x` and of the constant `y`, both [R, D] float32: [1].
  static func distance(
    _ kind: HiddenStateConfiguration.Distance, _ x: Tensor, _ y: Tensor, weights: Tensor
  ) -> Tensor {
    let distances: Tensor  // [R, 1]
    switch kind {
    case .mse: distances = (x - y).squared().sum(over: 1) / Double(x.shape[1])
    case .cosine:
      let lengths = sqrt(x.squared().sum(over: 1) * y.squared().sum(over: 1))
      distances = 1 - (x * y).sum(over: 1) / maximum(lengths, lengths.constant(1e-30))
    }
    return (distances * weights.reshaped(-1, 1)).sum(over: 0).reshaped(1)
  }
}

/// What of a model decides how its hidden states are compared.
struct HiddenSizes {
  var layerCount: Int
  /// Width of the residual stream.
  var width: Int
}

/// A matrix for every pair of layers, from the model's width to the teacher's (W_h of arXiv:1909.10351, eq. 8).
private struct HiddenProjections: Module {
  /// [teacher's width, model's width], always in float32.
  var layers: [Linear]

  init(_ inputs: Int, _ outputs: Int, count: Int, seed: UInt64, on backend: any Backend) {
    layers = (0..<count).map { index in
      let layer = Linear(inputs, outputs, role: .exactMatrix)
      // As adapters begin: ±1 / √inputs.
      layer.weight.value = .trained(
        .uniform(
          [outputs, inputs], limit: 1 / Float(inputs).squareRoot(), seed: seed, stream: UInt64(index) + 2 << 32,
          on: backend))
      return layer
    }
  }

  mutating func visitChildren(_ visitor: inout some ParameterVisitor) { visitor.visit("projections", &layers) }
}

/// What some layers of a pass make.
final class LayerOutputs: Sendable {
  private let wanted: Set<Int>
  private let state = Mutex<(count: Int, outputs: [Int: Tensor])>((0, [:]))

  /// - Parameter wanted: the layers, counted from 0; what the others make is not kept.
  init(_ wanted: some Sequence<Int>) { self.wanted = Set(wanted) }

  subscript(layer: Int) -> Tensor {
    guard let output = state.withLock({ $0.outputs[layer] }) else {
      preconditionFailure("layer \(layer) has made nothing")
    }
    return output
  }

  /// Takes what the next layer has made.
  func add(_ output: Tensor) {
    state.withLock {
      if wanted.contains($0.count) { $0.outputs[$0.count] = output }
      $0.count += 1
    }
  }
}
