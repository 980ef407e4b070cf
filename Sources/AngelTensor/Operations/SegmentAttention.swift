import AngelCore
package import CAngelKernels

/// Softmax attention inside each of several sequences laid end to end, over dense keys and values (arXiv:2205.14135,
/// segment_attention.h).
///
/// Float32 or bfloat16, in float32 inside. Nothing of size R x R is stored: what training keeps is the result and a logarithm
/// for each row and head, from which the backward pass makes the probabilities again. So it states the parts of a `TensorOperation` itself.
package struct SegmentAttention: Sendable {
  package static var family: angel_family { ANGEL_FAMILY_segment_attention }
  package let segments: Segments
  package let shape: AttentionShape
  package let isCausal: Bool

  package init(segments: Segments, shape: AttentionShape, isCausal: Bool) {
    self.segments = segments
    self.shape = shape
    self.isCausal = isCausal
  }

  /// Runs the kernel where the backend has one, else the composed form, through which gradients then flow.
  package func callAsFunction(_ queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    check(queries.specification, keys.specification, values.specification)
    let backend = queries.backend
    guard let kernel = backend.kernel(Self.family, KernelDTypes(queries.dtype)) else {
      guard queries.dtype == .bfloat16 else { return composed(queries, keys: keys, values: values) }
      let wide = [queries, keys, values].map { $0.cast(to: .float32) }
      return self(wide[0], keys: wide[1], values: wide[2]).cast(to: .bfloat16)
    }
    let inputs = [queries, keys, values]
    let output = Tensor(uninitialized: queries.specification, on: backend)
    let logSums = inputs.contains(where: \.isTrainable) ? rowNumbers(like: queries) : nil
    let arguments = angel_segment_attention_arguments(
      queries: queries.address, keys: keys.address, values: values.address, output: output.address,
      logsumexp: logSums?.mutableFloats, shape: kernelShape(queries, keys))
    backend.launch(kernel, arguments, work(queries, products: 2), keeping: inputs, segments)
    guard let logSums else { return output }
    let saved = inputs.map(\.detached)
    return output.recorded(from: inputs) { wanted in
      { gradient in
        let results = gradients(saved, output, logSums: logSums, gradient)
        return zip(wanted, results).map { $0 ? $1 : nil }
      }
    }
  }

  /// The gradients by queries, keys and values.
  private func gradients(_ saved: [Tensor], _ output: Tensor, logSums: Tensor, _ gradient: Tensor) -> [Tensor] {
    let (queries, keys, values, backend) = (saved[0], saved[1], saved[2], output.backend)
    guard let kernel = backend.kernel(ANGEL_FAMILY_segment_attention_backward, KernelDTypes(output.dtype)) else {
      return composedGradients(saved, gradient)
    }
    let results = saved.map { Tensor(uninitialized: $0.specification, on: backend) }
    let sums =
      queries.dtype == .float32
      ? results[0] : Tensor(uninitialized: TensorSpecification(queries.shape, .float32), on: backend)
    let arguments = angel_segment_attention_backward_arguments(
      queries: queries.address, keys: keys.address, values: values.address, output: output.address,
      logsumexp: logSums.floats, gradient: gradient.address, query_gradient: results[0].address,
      key_gradient: results[1].address, value_gradient: results[2].address, query_sums: sums.mutableFloats,
      shape: kernelShape(queries, keys))
    backend.launch(
      kernel, arguments, work(queries, products: 5), keeping: saved, output, logSums, gradient, sums, segments)
    return results
  }

  /// The same through the composed form, run again.
  private func composedGradients(_ saved: [Tensor], _ gradient: Tensor) -> [Tensor] {
    let leaves = saved.map { $0.asLeaf() }
    let result = composed(leaves[0], keys: leaves[1], values: leaves[2])
    let gradients = result.gradients(weightedBy: gradient)
    return leaves.map { gradients[$0] ?? $0.detached * 0 }
  }

  /// The definition in other operations.
  package func composed(_ queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    let rows = segments.rowCount
    var mask = [Double](repeating: -1e30, count: rows * rows)
    for (start, end) in zip(segments.bounds, segments.bounds.dropFirst()) {
      for row in start..<end {
        for column in visible(row, start..<end) { mask[row * rows + column] = 0 }
      }
    }
    return maskedAttention(queries, keys: keys, values: values, mask: mask, shape: shape)
  }

  /// The rows that `row` of a sequence sees.
  private func visible(_ row: Int, _ sequence: Range<Int>) -> Range<Int> {
    let reach = shape.window > 0 ? shape.window : sequence.count
    let end = isCausal ? row + 1 : Swift.min(sequence.upperBound, row + reach)
    return Swift.max(sequence.lowerBound, row - reach + 1)..<end
  }

  private func check(_ queries: TensorSpecification, _ keys: TensorSpecification, _ values: TensorSpecification) {
    precondition(
      queries.shape.rank == 3 && keys.shape.rank == 3 && keys == values && queries.dtype == keys.dtype
        && queries.shape[0] == segments.rowCount && keys.shape[0] == segments.rowCount
        && queries.shape[1] % keys.shape[1] == 0 && queries.shape[2] == keys.shape[2]
        && queries.shape[2] <= Int(ANGEL_SEGMENT_HEAD_LIMIT),
      "segment_attention: queries \(queries), keys \(keys), values \(values), \(segments.rowCount) rows")
  }

  /// One float32 number for each row and head.
  private func rowNumbers(like queries: Tensor) -> Tensor {
    Tensor(uninitialized: TensorSpecification([queries.shape[0], queries.shape[1]], .float32), on: queries.backend)
  }

  private func kernelShape(_ queries: Tensor, _ keys: Tensor) -> angel_segment_attention_shape {
    angel_segment_attention_shape(
      bounds: segments.boundaries.int32s, rows: Int64(segments.rowCount), segments: Int64(segments.bounds.count - 1),
      heads: Int64(queries.shape[1]), kv_heads: Int64(keys.shape[1]), head_size: Int64(queries.shape[2]),
      scale: shape.scale, softcap: shape.softCap, window: Int32(clamping: shape.window), causal: isCausal ? 1 : 0)
  }

  private func work(_ queries: Tensor, products: Int) -> Work {
    let pairs = zip(segments.bounds, segments.bounds.dropFirst()).reduce(0) { sum, bounds in
      let count = bounds.1 - bounds.0
      return sum + count * Swift.min(count, shape.window > 0 ? shape.window : count) / 2
    }
    return Work(
      bytes: products * queries.specification.byteCount,
      multiplyAdds: products * pairs * queries.shape[1] * queries.shape[2])
  }
}

/// Softmax attention with an additive mask, the definition of every attention kernel.
///
/// - Parameters:
///   - queries: [R, heads, headSize].
///   - keys: [P, kvHeads, headSize], `values` alike; query head `h` reads head `h / (heads / kvHeads)`.
///   - mask: [R, P] in row-major order, 0 where a row sees an entry and -1e30 where it does not.
/// - Returns: [R, heads, headSize].
package func maskedAttention(
  _ queries: Tensor, keys: Tensor, values: Tensor, mask: [Double], shape: AttentionShape
) -> Tensor {
  let (rows, heads, size) = (queries.shape[0], queries.shape[1], queries.shape[2])
  let (length, groups) = (keys.shape[0], keys.shape[1])
  func perHead(_ x: Tensor) -> Tensor {
    x.permuted(1, 0, 2).reshaped(groups, 1, length, size)
      .broadcast(to: [groups, heads / groups, length, size]).reshaped(heads, length, size)
  }
  var scores = queries.permuted(1, 0, 2).matmul(perHead(keys), transposingRight: true) * Double(shape.scale)
  if shape.softCap > 0 { scores = tanh(scores / Double(shape.softCap)) * Double(shape.softCap) }
  let masked = scores + Tensor(mask, shape: [1, rows, length], on: queries.backend).cast(to: queries.dtype)
  return masked.softmax().matmul(perHead(values)).permuted(1, 0, 2)
}

/// Softmax attention of `queries` [R, heads, headSize] over `keys` and `values` [R, kvHeads, headSize], each row over the
/// rows of its own sequence: those up to itself when `isCausal`, all of them otherwise.
///
/// With `shape.window` W > 0 a row sees the W rows up to its own and, when not causal, W - 1 after it.
///
/// - Returns: [R, heads, headSize].
public func segmentAttention(
  _ queries: Tensor, keys: Tensor, values: Tensor, segments: Segments, shape: AttentionShape, isCausal: Bool = true
) -> Tensor {
  SegmentAttention(segments: segments, shape: shape, isCausal: isCausal)(queries, keys: keys, values: values)
}
