import AngelCore
import AngelNN
import AngelTensor

/// Muon for the matrices inside the layers (arXiv:2502.16982), AdamW for the rest: embeddings, output heads, norms,
/// biases and routers. Updates have AdamW's size, so both take one learning rate.
final class Muon: Optimizer {
  private let configuration: OptimizerConfiguration
  private let backend: any Backend
  private let rest: AdamW
  private var velocities: [String: OptimizerState] = [:]

  init(_ configuration: OptimizerConfiguration, on backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
    rest = AdamW(configuration, on: backend)
  }

  var states: [String: OptimizerState] { rest.states.merging(velocities) { first, _ in first } }

  /// Whether a parameter's updates are orthogonalised.
  static func takes(_ parameter: Parameter, path: String) -> Bool {
    guard parameter.shape.rank == 2, parameter.role == .matrix else { return false }
    return !["embedding.", "positions.", "head."].contains { path.hasPrefix($0) }
  }

  func prepare(_ parameter: Parameter, path: String) {
    guard Self.takes(parameter, path: path) else { return rest.prepare(parameter, path: path) }
    guard velocities["velocity/" + path] == nil else { return }
    velocities["velocity/" + path] = OptimizerState(parameter.shape, on: backend)
  }

  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int
  ) throws {
    prepare(parameter, path: path)
    guard let velocity = velocities["velocity/" + path] else {
      return rest.update(
        parameter, path: path, gradient: gradient, gradientScale: gradientScale, learningRate: learningRate, step: step)
    }
    var numbers = MuonStep(
      learningRate: learningRate, weightDecay: configuration.decay(of: parameter),
      momentum: Float(configuration.usedMomentum))
    numbers.gradientScale = gradientScale
    try parameter.update { try numbers.apply(to: $0, gradient: gradient, velocity: velocity) }
  }
}
