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
    let numbers = configuration.adamWStep(
      of: parameter, gradientScale: gradientScale, learningRate: learningRate, step: step)
    parameter.update { numbers.apply(to: $0, gradient: gradient, first: first, second: second) }
  }
}

extension OptimizerConfiguration {
  /// The numbers of AdamW's step number `step` on a parameter, whatever its moments are kept in.
  func adamWStep(of parameter: Parameter, gradientScale: Float, learningRate: Float, step: Int) -> AdamWStep {
    var numbers = AdamWStep(
      learningRate: learningRate, weightDecay: decay(of: parameter), beta1: Float(beta1), beta2: Float(beta2),
      epsilon: Float(epsilon), count: step)
    numbers.gradientScale = gradientScale
    return numbers
  }
}
