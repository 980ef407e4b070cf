import AngelCore
import CAngelKernels

/// An output head and its cross-entropy, chunk by chunk of rows (cross_entropy.h, gemm.h): logits are never stored whole.
///
/// Gradients by the hidden states and the weight are made in the forward pass, while a chunk's logits are at hand, as for a
/// result of gradient 1; the backward pass multiplies them by what it is given. So they live from one to the other, and
/// there is no second product.
struct LinearCrossEntropy: Sendable {
  let targets: PredictionTargets
  /// The most bytes of logits at a time.
  let logitBytes: Int

  func callAsFunction(_ hidden: Tensor, _ weight: Tensor) -> Tensor {
    precondition(
      hidden.shape.rank == 2 && weight.shape.rank == 2 && hidden.shape[1] == weight.shape[1]
        && hidden.dtype == weight.dtype && targets.rowCount == hidden.shape[0],
      "cross_entropy: hidden \(hidden.specification), head \(weight.specification), \(targets.rowCount) targets")
    let backend = hidden.backend
    guard let kernel = backend.kernel(ANGEL_FAMILY_cross_entropy, KernelDTypes(hidden.dtype)),
      let product = backend.kernel(ANGEL_FAMILY_gemm, KernelDTypes(hidden.dtype, hidden.dtype, hidden.dtype))
    else { return hidden.matmul(weight, bias: nil).crossEntropy(targets) }
    var pass = Pass(hidden, weight, kernel: kernel, product: product)
    let chunk = Swift.max(1, logitBytes / Swift.max(1, weight.shape[0] * hidden.dtype.blockBytes))
    for start in stride(from: 0, to: targets.rowCount, by: chunk) {
      pass.run(start..<Swift.min(start + chunk, targets.rowCount), targets)
    }
    let (hiddenGradient, weightGradient) = (pass.hiddenGradient, pass.weightGradient)
    return pass.losses.sum().recorded(from: [hidden, weight]) { _ in
      { gradient in [hiddenGradient?.scaledInPlace(by: gradient), weightGradient?.scaledInPlace(by: gradient)] }
    }
  }

  /// The results, filled chunk by chunk before anyone sees them.
  private struct Pass {
    let hidden: Tensor
    let weight: Tensor
    let kernel: Kernel
    let product: Kernel
    let losses: Tensor
    let hiddenGradient: Tensor?
    let weightGradient: Tensor?

    init(_ hidden: Tensor, _ weight: Tensor, kernel: Kernel, product: Kernel) {
      let backend = hidden.backend
      self.hidden = hidden.detached
      self.weight = weight.detached
      self.kernel = kernel
      self.product = product
      losses = Tensor(uninitialized: TensorSpecification([hidden.shape[0]], hidden.dtype), on: backend)
      hiddenGradient = hidden.isTrainable ? Tensor(uninitialized: hidden.specification, on: backend) : nil
      weightGradient = weight.isTrainable ? Tensor(uninitialized: weight.specification, on: backend) : nil
    }

    mutating func run(_ rows: Range<Int>, _ targets: PredictionTargets) {
      let (hidden, targets) = (hidden.prefix(rows), targets.prefix(rows))
      let logits = DenseProduct(transposesRight: true)(hidden, weight)
      let isTrained = hiddenGradient != nil || weightGradient != nil
      let arguments = angel_cross_entropy_arguments(
        logits: logits.floats, targets: targets.tokens.int32s, weights: targets.weights.floats,
        losses: losses.prefix(rows).mutableFloats, gradient: isTrained ? logits.mutableFloats : nil,
        rows: Int64(rows.count), vocabulary: Int64(weight.shape[0]), smoothing: targets.labelSmoothing,
        penalty: targets.partitionPenalty)
      let work = Work(bytes: logits.specification.byteCount, multiplyAdds: 32 * logits.shape.elementCount)
      withUnsafeBytes(of: arguments) { hidden.backend.launch(kernel, $0, work: work) }
      withExtendedLifetime((logits, targets)) {}
      // Nobody else has seen the logits: they are their own gradient now.
      if let hiddenGradient { multiply(DenseProduct(), logits, weight, into: hiddenGradient.prefix(rows)) }
      if let weightGradient {
        let isFirst = rows.lowerBound == 0
        multiply(DenseProduct(transposesLeft: true), logits, hidden, into: weightGradient, adds: !isFirst)
      }
    }

    private func multiply(
      _ operation: DenseProduct, _ left: Tensor, _ right: Tensor, into output: Tensor, adds: Bool = false
    ) {
      var arguments = operation.arguments([left, right], output)
      arguments.accumulates = adds ? 1 : 0
      let work = operation.work([left.specification, right.specification], output.specification)
      withUnsafeBytes(of: arguments) { left.backend.launch(product, $0, work: work) }
      withExtendedLifetime((left, right, output)) {}
    }
  }
}
