import AngelCore
import CAngelKernels

/// (x - mean) / sqrt(variance + epsilon) * weight + bias over the places and channels of a group (arXiv:1803.08494), with
/// a SiLU after it if wanted (group_norm.h).
///
/// Several kernels and not one, so it states the parts of a `TensorOperation` itself: kernels sum channel by channel, what
/// channels make of a group is a few numbers in plain operations.
package struct GroupNormalization: Sendable {
  let groups: Int
  let epsilon: Float
  let hasSiLU: Bool

  package init(groups: Int, epsilon: Float, hasSiLU: Bool = false) {
    (self.groups, self.epsilon, self.hasSiLU) = (groups, epsilon, hasSiLU)
  }

  /// x [N, ..., C], `weight` and `bias` [C]: the shape of x. Bfloat16 is widened and the result rounded.
  package func callAsFunction(_ x: Tensor, weight: Tensor, bias: Tensor) -> Tensor {
    check(x.specification, weight.specification, bias.specification)
    if x.dtype == .bfloat16 { return self(x.cast(to: .float32), weight: weight, bias: bias).cast(to: .bfloat16) }
    guard x.dtype == .float32, weight.dtype == .float32, let kernels = GroupNormKernels(self, on: x) else {
      return composed(x, weight: weight, bias: bias)
    }
    let (centres, scales) = kernels.moments(x)
    let (weights, biases) = (weight.detached, bias.detached)
    let result = kernels.normalized(x, centres, scales, weights, biases)
    return result.recorded(from: [x, weight, bias]) { wanted in
      let input = x.detached
      guard kernels.hasGradients else { return gradientOfComposed([input, weights, biases], wanted) }
      return { gradient in
        let results = kernels.gradients(gradient, input, centres, scales, weights, biases)
        return zip(wanted, [results.input, results.weight, results.bias]).map { $0 ? $1 : nil }
      }
    }
  }

  private func check(_ x: TensorSpecification, _ weight: TensorSpecification, _ bias: TensorSpecification) {
    precondition(
      x.shape.rank >= 2 && x.shape[-1] % groups == 0 && weight.shape == [x.shape[-1]] && bias.shape == [x.shape[-1]],
      "group_norm: \(x) in \(groups) groups with weight \(weight) and bias \(bias)")
  }

  package func composed(_ x: Tensor, weight: Tensor, bias: Tensor) -> Tensor {
    let channels = x.shape[-1]
    let grouped = x.reshaped(x.shape[0], -1, groups, channels / groups)
    func mean(_ values: Tensor) -> Tensor { values.mean(over: 3).mean(over: 1) }
    let centred = grouped - mean(grouped)
    let normalized = (centred / sqrt(mean(centred.squared()) + Double(epsilon))).reshaped(x.shape.array)
    let result = normalized * weight + bias
    return hasSiLU ? silu(result) : result
  }

  private func gradientOfComposed(_ inputs: [Tensor], _ wanted: [Bool]) -> BackwardFunction {
    { gradient in
      let leaves = zip(wanted, inputs).map { $0 ? $1.asLeaf() : $1 }
      let gradients = composed(leaves[0], weight: leaves[1], bias: leaves[2]).gradients(weightedBy: gradient)
      return zip(wanted, leaves).map { $0 ? gradients[$1] : nil }
    }
  }
}

extension Tensor {
  /// Group norm of these images [N, ..., C] with `weight` and `bias` [C], then a SiLU if wanted: the same shape.
  public func groupNormalized(
    groups: Int, weight: Tensor, bias: Tensor, epsilon: Float, thenSiLU: Bool = false
  ) -> Tensor {
    GroupNormalization(groups: groups, epsilon: epsilon, hasSiLU: thenSiLU)(self, weight: weight, bias: bias)
  }
}
