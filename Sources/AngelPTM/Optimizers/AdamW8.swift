import AngelCore
import AngelNN
import AngelTensor

/// AdamW whose moments of matrices are kept in 8 bits (arXiv:2110.02861), those of vectors in float32: a quarter of the
/// memory.
final class AdamW8: Optimizer {
  private let configuration: OptimizerConfiguration
  private let backend: any Backend
  private let vectors: AdamW
  private var moments: [String: (first: BlockState, second: BlockState)] = [:]

  init(_ configuration: OptimizerConfiguration, on backend: any Backend) {
    self.configuration = configuration
    self.backend = backend
    vectors = AdamW(configuration, on: backend)
  }

  var states: [String: OptimizerState] {
    var states = vectors.states
    for (path, moment) in moments {
      for (name, state) in [("first", moment.first), ("second", moment.second)] {
        states["\(name)-codes/\(path)"] = state.codes
        states["\(name)-scales/\(path)"] = state.scales
      }
    }
    return states
  }

  func prepare(_ parameter: Parameter, path: String) {
    guard parameter.shape.rank > 1 else { return vectors.prepare(parameter, path: path) }
    guard moments[path] == nil else { return }
    moments[path] = (BlockState(parameter.shape, on: backend), BlockState(parameter.shape, on: backend))
  }

  func update(
    _ parameter: Parameter, path: String, gradient: Tensor, gradientScale: Float, learningRate: Float, step: Int
  ) {
    prepare(parameter, path: path)
    guard let moment = moments[path] else {
      return vectors.update(
        parameter, path: path, gradient: gradient, gradientScale: gradientScale, learningRate: learningRate, step: step)
    }
    let numbers = configuration.adamWStep(
      of: parameter, gradientScale: gradientScale, learningRate: learningRate, step: step)
    parameter.update {
      numbers.apply(
        to: $0, gradient: gradient, first: moment.first, second: moment.second, seed: Self.seed(path, step: step))
    }
  }

  /// Random bits of a step are others for every parameter: FNV-1a of the path, then of the step.
  static func seed(_ path: String, step: Int) -> UInt32 {
    var hash: UInt32 = 0x811C_9DC5
    for byte in path.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
    for shift in stride(from: 0, to: 32, by: 8) {
      hash = (hash ^ UInt32(truncatingIfNeeded: step >> shift & 0xFF)) &* 0x0100_0193
    }
    return hash
  }
}
