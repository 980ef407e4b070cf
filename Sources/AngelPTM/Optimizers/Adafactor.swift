import AngelCore
import AngelNN
import AngelTensor

/// Adafactor (arXiv:1804.04235) without momentum: of a matrix's second moment only the sums of rows and columns are
/// kept.
final class Adafactor: Optimizer {
  private let configuration: OptimizerConfiguration
  private let backend: any Backend
  private(set) var states: [String: OptimizerState] = [:]

  init(_ configuration: OptimizerConfiguration, on backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
  }

  func prepare(_ parameter: Parameter, path: String) {
    guard states["columns/" + path] == nil else { return }
    let shape = parameter.shape
    states["columns/" + path] = OptimizerState([shape[-1]], on: backend)
    if shape.rank > 1 { states["rows/" + path] = OptimizerState([shape[0]], on: backend) }
  }

  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int
  ) throws {
    prepare(parameter, path: path)
    guard let columns = states["columns/" + path] else { return }
    var numbers = AdafactorStep(
      learningRate: learningRate, weightDecay: configuration.decay(of: parameter), count: step)
    numbers.gradientScale = gradientScale
    try parameter.update {
      try numbers.apply(to: $0, gradient: gradient, rows: states["rows/" + path], columns: columns)
    }
  }
}
