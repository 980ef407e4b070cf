import AngelCore
package import CAngelKernels

/// What each row's experts made of it, weighted and summed (expert_sum.h). Inputs: grouped rows, weights, places.
package struct ExpertSum: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_expert_sum }

  package init() {}

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, weights, places) = (inputs[0], inputs[1], inputs[2])
    precondition(
      weights.shape.rank == 2 && (weights.dtype == x.dtype || (weights.dtype == .float32 && x.dtype == .bfloat16))
        && places == TensorSpecification(weights.shape, .int32)
        && x.shape.rank == 2 && x.shape[0] == weights.shape.elementCount,
      "expert_sum: rows \(x), weights \(weights), places \(places)")
    return TensorSpecification([weights.shape[0], x.shape[1]], weights.dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_expert_sum_arguments {
    angel_expert_sum_arguments(
      input: UnsafeRawPointer(inputs[0].address), weights: inputs[1].floats, places: inputs[2].int32s,
      output: output.mutableFloats, rows: Int64(output.shape[0]), count: Int64(inputs[1].shape[1]),
      width: Int64(output.shape[1]))
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, weights, places) = (inputs[0], inputs[1], inputs[2])
    let (rows, count, width) = (weights.shape[0], weights.shape[1], x.shape[1])
    let perSlot = x.rows(places.reshaped(-1)).reshaped(rows, count, width) * weights.reshaped(rows, count, 1)
    return perSlot.sum(over: 1).reshaped(rows, width)
  }

  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (x, weights, places) = (inputs[0], inputs[1], inputs[2])
    let backend = x.backend
    guard let kernel = backend.kernel(ANGEL_FAMILY_expert_sum_backward, KernelDTypes(x.dtype)) else {
      return gradientOfComposed(inputs, wanted: wanted)
    }
    return { gradient in
      let rows = wanted[0] ? Tensor(uninitialized: x.specification, on: backend) : nil
      let shares = wanted[1] ? Tensor(uninitialized: weights.specification, on: backend) : nil
      let arguments = angel_expert_sum_backward_arguments(
        input: UnsafeRawPointer(x.address), weights: weights.floats, places: places.int32s, gradient: gradient.floats,
        input_gradient: rows?.address, weight_gradient: shares?.mutableFloats, rows: Int64(weights.shape[0]),
        count: Int64(weights.shape[1]), width: Int64(x.shape[1]))
      let work = Work(bytes: 3 * x.specification.byteCount)
      backend.launch(kernel, arguments, work, keeping: x, weights, places, gradient)
      return [rows, shares, nil]
    }
  }
}

extension Tensor {
  /// These grouped rows ([R * K, width]) weighted by `routing` and summed for each row of the step: [R, width].
  public func summed(_ routing: Routing, _ order: ExpertOrder) -> Tensor {
    ExpertSum()(self, routing.weights, order.places)
  }

  /// The rows of a step [R, width] in the places of `order`, once for each of their experts: [R * K, width].
  public func grouped(_ order: ExpertOrder) -> Tensor {
    detached.rows(order.rows).recorded(from: [self]) { _ in { [$0.ungrouped(order)] } }
  }

  /// The sum of a row's places, best expert first: the gradient of `grouped`.
  private func ungrouped(_ order: ExpertOrder) -> Tensor {
    let (rows, count, width) = (order.places.shape[0], order.places.shape[1], shape[1])
    guard let kernel = backend.kernel(ANGEL_FAMILY_expert_sum, KernelDTypes(dtype)) else {
      let slots = self.rows(order.places.reshaped(-1)).reshaped(rows, count, width)
      return slots.cast(to: dtype == .bfloat16 ? .float32 : dtype).sum(over: 1).reshaped(rows, width)
    }
    let result = Tensor(uninitialized: TensorSpecification([rows, width], .float32), on: backend)
    let arguments = angel_expert_sum_arguments(
      input: UnsafeRawPointer(address), weights: nil, places: order.places.int32s, output: result.mutableFloats,
      rows: Int64(rows), count: Int64(count), width: Int64(width))
    backend.launch(kernel, arguments, Work(bytes: 2 * specification.byteCount), keeping: self, order)
    return result
  }
}
