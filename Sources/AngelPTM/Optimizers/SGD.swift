import AngelCore
import AngelNN
import AngelTensor

/// Stochastic gradient descent with momentum, decay of matrices apart from the gradient.
final class SGD: Optimizer {
  private let configuration: OptimizerConfiguration
  private let backend: any Backend
  private(set) var states: [String: OptimizerState] = [:]

  init(_ configuration: OptimizerConfiguration, on backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
  }

  func prepare(_ parameter: Parameter, path: String) {
    guard configuration.usedMomentum > 0, states["velocity/" + path] == nil else { return }
    states["velocity/" + path] = OptimizerState(parameter.shape, on: backend)
  }

  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int
  ) {
    prepare(parameter, path: path)
    var numbers = SGDStep(
      learningRate: learningRate, weightDecay: configuration.decay(of: parameter),
      momentum: Float(configuration.usedMomentum))
    numbers.gradientScale = gradientScale
    parameter.update { numbers.apply(to: $0, gradient: gradient, velocity: states["velocity/" + path]) }
  }
}
