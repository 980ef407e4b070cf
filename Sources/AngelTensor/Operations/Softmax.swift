import AngelCore
package import CAngelKernels

/// exp(x - max) / sum over the last axis (softmax.h).
package struct Softmax: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_softmax }

  package init() {}

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification { inputs[0] }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_softmax_arguments {
    let width = output.shape[-1]
    return angel_softmax_arguments(
      input: UnsafeRawPointer(inputs[0].address), output: output.address,
      rows: Int64(output.shape.elementCount / width), width: Int64(width))
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    // Subtract the row maximum first: exp overflows float32 above 88.7.
    let shifted = exp(inputs[0] - inputs[0].max(over: -1))
    return shifted / shifted.sum(over: -1)
  }

  /// dx = y (dy - sum(dy y))
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    { [output * ($0 - ($0 * output).sum(over: -1))] }
  }
}

extension Tensor {
  /// The softmax over the last axis.
  public func softmax() -> Tensor { Softmax()(self) }
}
