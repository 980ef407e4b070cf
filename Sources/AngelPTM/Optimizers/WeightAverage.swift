import AngelCore
import AngelNN
import AngelTensor

/// An exponential moving average of the trained parameters, saved beside them (arXiv:1806.05594 reviews why it
/// generalises).
///
/// It begins as a copy of the parameters and follows each step by the share 1 - decay; young averages follow faster,
/// min(decay, (1 + step) / (10 + step)), so that the first values are soon forgotten.
final class WeightAverage {
  private let decay: Double
  private let parameters: [(path: String, parameter: Parameter)]
  /// By path.
  let states: [String: OptimizerState]

  init(_ decay: Double, of parameters: [(path: String, parameter: Parameter)], on backend: any Backend) throws {
    self.decay = decay
    self.parameters = parameters
    var states: [String: OptimizerState] = [:]
    for (path, parameter) in parameters {
      let state = OptimizerState(parameter.shape, on: backend)
      try parameter.trainedValues?.values.withHostBytes { state.restore($0) }
      states[path] = state
    }
    self.states = states
  }

  /// Follows the parameters after step `step`.
  func follow(step: Int) {
    let young = Double(1 + step) / Double(10 + step)
    for (path, parameter) in parameters {
      guard let values = parameter.trainedValues else { continue }
      states[path]?.follow(values, decay: Float(min(decay, young)))
    }
  }

  /// Gives the parameters the average's values.
  func replaceParameters() throws {
    for (path, parameter) in parameters {
      guard let average = states[path]?.tensor else { continue }
      try parameter.update { values in try average.withHostBytes { values.overwrite(with: $0) } }
    }
  }
}
