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
    addresses = deviceAddresses(of: matrices.map(\.panels), on: first.backend)
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
    return TensorSpecification([x.shape[0], weights.columns], x.dtype == .bfloat16 ? .bfloat16 : .float32)
  }

  /// Activations in bfloat16 are rows of products as they are, where rows need no padding.
  package func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes {
    guard inputs[0].dtype == .bfloat16 else { return KernelDTypes(inputs[0].dtype, weights.dtype) }
    return KernelDTypes(weights.depth % 32 == 0 ? .bfloat16Rows : .bfloat16, weights.dtype, .bfloat16)
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_expert_matmul_arguments {
    angel_expert_matmul_arguments(
      input: UnsafeRawPointer(inputs[0].address), weights: weights.pointers, offsets: inputs[1].int32s,
      output: output.mutableFloats, choices: Int64(weights.matrices.count), depth: Int64(weights.depth),
      columns: Int64(weights.columns),
      input_dtype: angel_dtype(kernelDTypes(inputs.map(\.specification)).first.rawValue),
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
    let order = ExpertOrder(offsets: inputs[1], rows: experts, experts: experts, places: experts)
    var sum: Tensor?
    for (index, matrix) in weights.matrices.enumerated() {
      let product = DenseProduct(transposesRight: true).composed(x, matrix.dequantized().cast(to: x.dtype))
      let term = product * order.isOf(expert: index, x.dtype)
      sum = sum.map { $0 + term } ?? term
    }
    return sum
  }

  /// The weights are constants: dx = dy W of each row's expert.
  package func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let (specification, weights) = (inputs[0].specification, weights)
    let order = ExpertOrder(offsets: inputs[1], rows: inputs[2], experts: inputs[2], places: inputs[2])
    guard let products = DenseKernels(specification.dtype, specification.dtype, on: inputs[0].backend) else {
      return gradientOfComposed(inputs, wanted: wanted)
    }
    return { gradient in
      let result = Tensor(uninitialized: specification, on: gradient.backend)
      let panels = weights.matrices.map { $0.transposedPanels(products) }
      products.multiply(products.rows(of: gradient), panels, order, into: result)
      return [result, nil, nil]
    }
  }
}

extension Tensor {
  /// These grouped rows ([R * K, depth]: float32, bfloat16, or as products take them), each times its expert's matrix:
  /// [R * K, columns], float32 unless the rows are bfloat16.
  public func matmul(_ experts: ExpertMatrices, _ order: ExpertOrder) -> Tensor {
    // The addresses' tensor must outlive the launch as the inputs do.
    withExtendedLifetime(experts) { ExpertProduct(experts)(self, order.offsets, order.experts) }
  }
}
