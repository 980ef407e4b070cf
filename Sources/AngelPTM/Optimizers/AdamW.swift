import AngelCore
import AngelNN
import AngelTensor

/// AdamW (arXiv:1711.05101): moments in float32, decay of matrices apart from the gradient.
final class AdamW: Optimizer {
  private let configuration: OptimizerConfiguration
  private let backend: any Backend
  private(set) var states: [String: OptimizerState] = [:]

  init(_ configuration: OptimizerConfiguration, on backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
  }

  func prepare(_ parameter: Parameter, path: String) {
    for name in ["first/", "second/"] where states[name + path] == nil {
      states[name + path] = OptimizerState(parameter.shape, on: backend)
    }
  }

  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int
  ) {
    prepare(parameter, path: path)
    guard let first = states["first/" + path], let second = states["second/" + path] else { return }
    var numbers = AdamWStep(
      learningRate: learningRate, weightDecay: configuration.decay(of: parameter), beta1: Float(configuration.beta1),
      beta2: Float(configuration.beta2), epsilon: Float(configuration.epsilon), count: step)
    numbers.gradientScale = gradientScale
    parameter.update { numbers.apply(to: $0, gradient: gradient, first: first, second: second) }
  }
}
