import AngelCore
package import CAngelKernels

/// Softmax attention inside each of several sequences laid end to end, over dense keys and values
/// (arXiv:2205.14135, segment_attention.h).
package struct SegmentAttention: TensorOperation {
  package static var family: angel_family { ANGEL_FAMILY_segment_attention }
  package let segments: Segments
  package let shape: AttentionShape
  package let isCausal: Bool

  package init(segments: Segments, shape: AttentionShape, isCausal: Bool) {
    self.segments = segments
    self.shape = shape
    self.isCausal = isCausal
  }

  package func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (queries, keys, values) = (inputs[0], inputs[1], inputs[2])
    precondition(
      queries.shape.rank == 3 && keys.shape.rank == 3 && keys == values && queries.dtype == keys.dtype
        && queries.shape[0] == segments.rowCount && keys.shape[0] == segments.rowCount
        && queries.shape[1] % keys.shape[1] == 0 && queries.shape[2] == keys.shape[2],
      "segment_attention: queries \(queries), keys \(keys), values \(values), \(segments.rowCount) rows")
    return queries
  }

  package func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_segment_attention_arguments {
    angel_segment_attention_arguments(
      queries: inputs[0].floats, keys: inputs[1].floats, values: inputs[2].floats,
      bounds: segments.boundaries.int32s, output: output.mutableFloats, logsumexp: nil,
      rows: Int64(segments.rowCount), segments: Int64(segments.bounds.count - 1), heads: Int64(output.shape[1]),
      kv_heads: Int64(inputs[1].shape[1]), head_size: Int64(output.shape[2]), scale: shape.scale,
      softcap: shape.softCap, window: Int32(clamping: shape.window), causal: isCausal ? 1 : 0)
  }

  package func work(_ inputs: [TensorSpecification], _ output: TensorSpecification) -> Work {
    let pairs = zip(segments.bounds, segments.bounds.dropFirst()).reduce(0) { sum, bounds in
      let count = bounds.1 - bounds.0
      return sum + count * Swift.min(count, shape.window > 0 ? shape.window : count)
    }
    return Work(bytes: 4 * output.byteCount, multiplyAdds: pairs * output.shape[1] * output.shape[2])
  }

  package func composed(_ inputs: [Tensor]) -> Tensor? {
    let rows = segments.rowCount
    var mask = [Double](repeating: -1e30, count: rows * rows)
    for (start, end) in zip(segments.bounds, segments.bounds.dropFirst()) {
      for row in start..<end {
        for column in visible(row, start..<end) { mask[row * rows + column] = 0 }
      }
    }
    return maskedAttention(inputs[0], keys: inputs[1], values: inputs[2], mask: mask, shape: shape)
  }

  /// The rows that `row` of a sequence sees.
  private func visible(_ row: Int, _ sequence: Range<Int>) -> Range<Int> {
    let reach = shape.window > 0 ? shape.window : sequence.count
    let end = isCausal ? row + 1 : Swift.min(sequence.upperBound, row + reach)
    return Swift.max(sequence.lowerBound, row - reach + 1)..<end
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
  SegmentAttention(segments: segments, shape: shape, isCausal: isCausal)(queries, keys, values)
}
