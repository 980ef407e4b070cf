import AngelCore

/// Rows grouped by expert, each times the transpose of its expert's dense matrix: the experts of training.
///
/// Several kernels and not one, so it states the parts of a `TensorOperation` itself. A group's result has the bits of
/// `DenseProduct` of that group alone; its weight's gradient is one sum over the group's rows in their order.
package struct DenseExpertProduct: Sendable {
  package init() {}

  /// x [P, K] in the places of `order`, `weights` [N, K] each, one an expert: [P, N] in the dtype of x.
  ///
  /// Operands in float32 or bfloat16, of which one in bfloat16 rounds the other. Other dtypes run composed.
  package func callAsFunction(_ x: Tensor, _ weights: [Tensor], _ order: ExpertOrder) -> Tensor {
    check(x.specification, weights.map(\.specification), order)
    guard let kernels = DenseKernels(x.dtype, weights[0].dtype, on: x.backend) else {
      return composed(x, weights, order)
    }
    let result = Tensor(
      uninitialized: TensorSpecification([x.shape[0], weights[0].shape[0]], x.dtype), on: x.backend)
    kernels.multiply(kernels.rows(of: x), weights.map { kernels.panels(of: $0) }, order, into: result)
    return result.recorded(from: [x] + weights) { wanted in
      gradient(x.detached, weights.map(\.detached), order, wanted: wanted, kernels)
    }
  }

  private func check(_ x: TensorSpecification, _ weights: [TensorSpecification], _ order: ExpertOrder) {
    guard let first = weights.first else { preconditionFailure("experts: there are none") }
    precondition(
      weights.allSatisfy { $0 == first } && first.shape.rank == 2 && x.shape.rank == 2 && x.shape[1] == first.shape[1],
      "experts: rows \(x) against weights \(first), all alike")
    precondition(
      order.offsets.shape == [weights.count + 1] && order.experts.shape == [x.shape[0]],
      "experts: an order of \(order.experts.shape) rows for \(x)")
  }

  /// Every row times every expert's matrix, all but its own counted zero times.
  package func composed(_ x: Tensor, _ weights: [Tensor], _ order: ExpertOrder) -> Tensor {
    let terms = weights.enumerated().map { index, weight in
      DenseProduct(transposesRight: true).composed(x, weight) * order.isOf(expert: index, x.dtype)
    }
    return terms.dropFirst().reduce(terms[0]) { $0 + $1 }
  }

  /// dx = dy · W_e row by row; dW_e = dyᵀ x over the rows of e.
  private func gradient(
    _ x: Tensor, _ weights: [Tensor], _ order: ExpertOrder, wanted: [Bool], _ kernels: DenseKernels
  ) -> BackwardFunction {
    let input = wanted.dropFirst().contains(true) ? x : nil
    let matrices = wanted[0] ? weights : []
    let specification = x.specification
    return { gradient in
      var results = [Tensor?](repeating: nil, count: wanted.count)
      if let input {
        let all = kernels.outer(gradient, input, order)
        for index in wanted.indices.dropFirst() where wanted[index] {
          results[index] = all.prefix(index - 1..<index).reshaped(all.shape[1], all.shape[2])
        }
      }
      if wanted[0] {
        let result = Tensor(uninitialized: specification, on: gradient.backend)
        let panels = matrices.map { kernels.panels(of: $0, transposed: true) }
        kernels.multiply(kernels.rows(of: gradient), panels, order, into: result)
        results[0] = result
      }
      return results
    }
  }
}

extension ExpertOrder {
  /// [P, 1]: 1 where a place belongs to this expert, else 0.
  func isOf(expert: Int, _ dtype: DType) -> Tensor { experts.isEqual(to: expert, dtype) }
}

extension Tensor {
  /// These grouped rows ([P, K]), each times the transpose of its expert's dense matrix ([N, K] each): [P, N].
  public func matmul(experts weights: [Tensor], _ order: ExpertOrder) -> Tensor {
    DenseExpertProduct()(self, weights, order)
  }
}
