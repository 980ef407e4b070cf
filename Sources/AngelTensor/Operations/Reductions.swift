package import AngelCore
import CAngelKernels

/// Sum or maximum over one axis (primitives.h).
private struct Reduction: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_sum }
  let axis: Int

  func result(of inputs: [TensorSpecification]) -> TensorSpecification { reduced(inputs[0], axis) }
  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_reduce_arguments { reduction(inputs[0], output, axis) }

  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let shape = inputs[0].shape
    return { [$0.broadcast(to: shape)] }
  }
}

private struct MaximumReduction: TensorOperation {
  static var family: angel_family { ANGEL_FAMILY_max }
  let axis: Int

  func result(of inputs: [TensorSpecification]) -> TensorSpecification { reduced(inputs[0], axis) }
  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_reduce_arguments { reduction(inputs[0], output, axis) }

  /// Equal maxima share the gradient.
  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let x = inputs[0]
    return {
      let isMaximum = x.isAtLeast(output)
      return [isMaximum * ($0 / isMaximum.sum(over: axis))]
    }
  }
}

/// The specification with `axis` reduced to size 1.
private func reduced(_ input: TensorSpecification, _ axis: Int) -> TensorSpecification {
  var shape = input.shape
  shape[axis] = 1
  return TensorSpecification(shape, input.dtype)
}

private func reduction(_ input: Tensor, _ output: Tensor, _ axis: Int) -> angel_reduce_arguments {
  let sizes = input.shape.array
  return angel_reduce_arguments(
    input: UnsafeRawPointer(input.address), output: output.address,
    outer: Int64(sizes[..<axis].reduce(1, *)), size: Int64(sizes[axis]),
    inner: Int64(sizes[(axis + 1)...].reduce(1, *)))
}

extension Tensor {
  /// The sum over `axis`, which stays with size 1.
  public func sum(over axis: Int) -> Tensor { Reduction(axis: shape.normalized(axis))(self) }

  /// The sums of the columns of this [R, W] tensor of float32 or bfloat16, in a fixed tree of float32 (column_sum.h): [W].
  func columnSums() -> Tensor {
    guard let kernel = backend.kernel(ANGEL_FAMILY_column_sum, KernelDTypes(dtype)) else {
      return sum(over: 0).reshaped(-1)
    }
    let output = Tensor(uninitialized: TensorSpecification([shape[1]], .float32), on: backend, kind: .gradients)
    let arguments = angel_column_sum_arguments(
      input: UnsafeRawPointer(address), output: output.mutableFloats, rows: Int64(shape[0]), width: Int64(shape[1]))
    backend.launch(kernel, arguments, Work(bytes: specification.byteCount), keeping: self)
    return output
  }

  /// The sum over the axes along which a tensor of `shape` would be broadcast to this one: the gradient of that.
  package func summed(to shape: Shape) -> Tensor {
    guard shape != self.shape else { return self }
    let missing = self.shape.rank - shape.rank
    var result = self
    for axis in 0..<self.shape.rank where result.shape[axis] != 1 && (axis < missing || shape[axis - missing] == 1) {
      result = result.sum(over: axis)
    }
    return result.reshaped(shape.array)
  }

  /// The sum of all elements, a scalar: over the last axis first.
  public func sum() -> Tensor {
    var result = self
    for axis in (0..<shape.rank).reversed() { result = result.sum(over: axis) }
    return result.reshaped([])
  }

  /// The maximum over `axis`, which stays with size 1.
  public func max(over axis: Int) -> Tensor { MaximumReduction(axis: shape.normalized(axis))(self) }

  /// The mean over `axis`, which stays with size 1.
  public func mean(over axis: Int) -> Tensor { sum(over: axis) / Double(shape[axis]) }
}
