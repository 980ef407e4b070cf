public import AngelCore
package import AngelTensor

extension Parameter {
  /// Holds the loaded values in float32, so that gradients are taken by them; does nothing when it already does.
  public func makeTrained() {
    switch value {
    case .absent: preconditionFailure("a parameter \(shape) has no value to train")
    case .trained, .halved, .parted: break
    case .vector(let tensor): value = .trained(tensor)
    case .matrix(let matrix, _): value = .trained(matrix.dequantized().copied(to: .weights))
    }
  }

  /// A matrix's values in float32, trained or constant.
  package var denseValues: Tensor { trainedValues?.values ?? matrix.0.dequantized() }

  /// A parameter that holds the values of now as constants; matrices are packed for products in `arithmetic`.
  func constant(_ arithmetic: Arithmetic) -> Parameter {
    guard let tensor = trainedValues?.values else { return computing == .float32 ? self : inFloat32() }
    let result = Parameter(shape, role)
    switch role {
    case .vector: result.value = .vector(tensor.copied())
    case .matrix:
      result.value = .matrix(PackedMatrix(tensor, as: arithmetic == .bf16 ? .bfloat16 : .float32), arithmetic)
    case .exactMatrix: result.value = .matrix(PackedMatrix(tensor, as: .float32), .f32)
    }
    return result
  }

  /// The same constant for activations in float32, which an engine's cache takes: one that stands frozen in bfloat16 training.
  private func inFloat32() -> Parameter {
    let result = Parameter(shape, role)
    result.value = value
    return result
  }
}

extension Module {
  /// Makes the parameters whose path `isTrained` accepts trainable; the others stay constants.
  public func makeTrained(where isTrained: (String) -> Bool = { _ in true }) {
    for (path, parameter) in parameterShapes() where isTrained(path) { parameter.makeTrained() }
  }

  /// Says what training computes in: float32, or bfloat16 with float32 sums, gradients and master weights.
  ///
  /// In bfloat16 the residual stream stays float32; what norms, linear layers, attention and activations make is rounded.
  public func compute(in dtype: DType) {
    for (_, parameter) in parameterShapes() { parameter.compute(in: dtype) }
  }

  /// The trained parameters with their paths, in visiting order; one that is used in several places is named once.
  public var trainedParameters: [(path: String, parameter: Parameter)] {
    var seen: Set<ObjectIdentifier> = []
    return parameterShapes().filter {
      $0.parameter.isTrained && seen.insert(ObjectIdentifier($0.parameter)).inserted
    }
  }

  /// A copy whose parameters are constants with the values of now: what the engine, validation and rollouts run, so that they
  /// build no graph. Training goes on without changing it.
  public func detached(arithmetic: Arithmetic = .f32) -> Self {
    var copy = self
    var constants: [ObjectIdentifier: Parameter] = [:]
    // The closure does not throw, so neither does the visit.
    try? copy.visitParameters { _, parameter in
      let key = ObjectIdentifier(parameter)
      let constant = constants[key] ?? parameter.constant(arithmetic)
      constants[key] = constant
      parameter = constant
    }
    return copy
  }
}
