public import AngelCore
package import CAngelKernels

/// Weights of one shape and dtype, one an expert, beside the array of their addresses that kernels read.
public struct ExpertMatrices: Sendable {
  let matrices: [PackedMatrix]
  /// [E] int64: addresses on the backend's device.
  private let addresses: Tensor

  /// The element type, as in the file.
  public var dtype: DType { matrices[0].dtype }
  /// Output features of each.
  public var columns: Int { matrices[0].columns }
  /// Input features of each.
  public var depth: Int { matrices[0].depth }

  /// At least one matrix, all of one shape and dtype.
  public init(_ matrices: [PackedMatrix]) {
    precondition(!matrices.isEmpty, "experts: there are none")
    let first = matrices[0]
    precondition(
      matrices.allSatisfy { $0.dtype == first.dtype && $0.columns == first.columns && $0.depth == first.depth },
      "experts: matrices differ from \(first.dtype.name)[\(first.columns), \(first.depth)]")
    self.matrices = matrices
    addresses = Tensor(
      matrices.map { Int64(Int(bitPattern: $0.storage.allocation.address)) }, on: first.backend, kind: .workspace)
  }

  fileprivate var pointers: UnsafePointer<UnsafeRawPointer?> {
    UnsafePointer(addresses.address.assumingMemoryBound(to: UnsafeRawPointer?.self))
  }
}

/// Grouped rows, each times the transpose of its expert's matrix (expert_matmul.h).
///
/// Inputs: the rows, then the order's `offsets` and `experts`; the composed form reads the last, the kernel does not.
package struct ExpertProduct: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_expert_matmul }
  package let weights: ExpertMatrices

  package init(_ weights: ExpertMatrices) { self.weights = weights }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, offsets, experts) = (inputs[0], inputs[1], inputs[2])
    precondition(
      x.shape.rank == 2 && x.shape[1] == weights.depth,
      "expert_matmul: input \(x) against weights \(weights.dtype.name)[\(weights.columns), \(weights.depth)]")
    precondition(
      offsets == TensorSpecification([weights.matrices.count + 1], .int32)
        && experts == TensorSpecification([x.shape[0]], .int32),
      "expert_matmul: offsets \(offsets) and experts \(experts) of \(x.shape[0]) rows")
    return TensorSpecification([x.shape[0], weights.columns], .float32)
  }

  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes {
    KernelDTypes(inputs[0].dtype, weights.dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_expert_matmul_arguments {
    angel_expert_matmul_arguments(
      input: UnsafeRawPointer(inputs[0].address), weights: weights.pointers, offsets: inputs[1].int32s,
      output: output.mutableFloats, choices: Int64(weights.matrices.count), depth: Int64(weights.depth),
      columns: Int64(weights.columns), input_dtype: angel_dtype(inputs[0].dtype.rawValue),
      weight_dtype: angel_dtype(weights.dtype.rawValue))
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    // Which experts have rows is known on the device only: at most as many as there are rows.
    let touched = min(weights.matrices.count, output.shape[0])
    return Work(
      bytes: touched * weights.matrices[0].byteCount + inputs[0].byteCount + output.byteCount,
      multiplyAdds: output.shape.elementCount * weights.depth)
  }

  /// Every row times every expert's matrix, all but its own counted zero times.
  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, experts) = (inputs[0], inputs[2])
    precondition(x.dtype == .float32 || x.dtype == .float64, "expert_matmul: int8 rows have no composed form")
    let indices = experts.cast(to: x.dtype).reshaped(-1, 1)
    var sum: Tensor?
    for (index, matrix) in weights.matrices.enumerated() {
      let weight = matrix.dequantized().cast(to: x.dtype).reshaped(1, matrix.columns, matrix.depth)
      let product = x.reshaped(1, -1, matrix.depth).matmul(weight, transposingRight: true)
      // 1 where the row's expert is this one, else 0: the indices are whole numbers.
      let distance = maximum(indices - Double(index), Double(index) - indices)
      let term = product.reshaped(-1, matrix.columns) * (1 - minimum(distance, x.constant(1)))
      sum = sum.map { $0 + term } ?? term
    }
    return sum
  }

  /// The weights are constants.
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    gradientOfComposed(inputs, wanted: wanted)
  }
}

/// What each row's experts made of it, weighted and summed (expert_sum.h). Inputs: grouped rows, weights, places.
package struct ExpertSum: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_expert_sum }

  package init() {}

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (x, weights, places) = (inputs[0], inputs[1], inputs[2])
    precondition(
      weights.shape.rank == 2 && weights.dtype == x.dtype && places == TensorSpecification(weights.shape, .int32)
        && x.shape.rank == 2 && x.shape[0] == weights.shape.elementCount,
      "expert_sum: rows \(x), weights \(weights), places \(places)")
    return TensorSpecification([weights.shape[0], x.shape[1]], x.dtype)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_expert_sum_arguments {
    angel_expert_sum_arguments(
      input: inputs[0].floats, weights: inputs[1].floats, places: inputs[2].int32s, output: output.mutableFloats,
      rows: Int64(output.shape[0]), count: Int64(inputs[1].shape[1]), width: Int64(output.shape[1]))
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let (x, weights, places) = (inputs[0], inputs[1], inputs[2])
    let (rows, count, width) = (weights.shape[0], weights.shape[1], x.shape[1])
    let perSlot = x.rows(places.reshaped(-1)).reshaped(rows, count, width) * weights.reshaped(rows, count, 1)
    return perSlot.sum(over: 1).reshaped(rows, width)
  }

  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    gradientOfComposed(inputs, wanted: wanted)
  }
}

extension Tensor {
  /// These grouped rows ([R * K, depth], float32 or int8), each times its expert's matrix: [R * K, columns] float32.
  public func matmul(_ experts: ExpertMatrices, _ order: ExpertOrder) -> Tensor {
    // The addresses' tensor must outlive the launch as the inputs do.
    withExtendedLifetime(experts) { ExpertProduct(experts)(self, order.offsets, order.experts) }
  }

  /// These grouped rows ([R * K, width]) weighted by `routing` and summed for each row of the step: [R, width].
  public func summed(_ routing: Routing, _ order: ExpertOrder) -> Tensor {
    ExpertSum()(self, routing.weights, order.places)
  }
}
