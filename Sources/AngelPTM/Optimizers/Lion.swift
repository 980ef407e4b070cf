import AngelCore
import AngelNN
import AngelTensor

/// Lion (arXiv:2302.06675): steps of one size in the direction of a momentum's sign, decay of matrices apart from the
/// gradient.
final class Lion: Optimizer {
  private let configuration: OptimizerConfiguration
  private let backend: any Backend
  private(set) var states: [String: OptimizerState] = [:]

  init(_ configuration: OptimizerConfiguration, on backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
  }

  func prepare(_ parameter: Parameter, path: String) {
    guard states["first/" + path] == nil else { return }
    states["first/" + path] = OptimizerState(parameter.shape, on: backend)
  }

  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int
  ) {
    prepare(parameter, path: path)
    guard let momentum = states["first/" + path] else { return }
    var numbers = LionStep(
      learningRate: learningRate, weightDecay: configuration.decay(of: parameter), beta1: Float(configuration.beta1),
      beta2: Float(configuration.beta2))
    numbers.gradientScale = gradientScale
    parameter.update { numbers.apply(to: $0, gradient: gradient, momentum: momentum) }
  }
}
