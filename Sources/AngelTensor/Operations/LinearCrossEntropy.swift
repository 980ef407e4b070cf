import AngelCore
import CAngelKernels

/// An output head and its cross-entropy, chunk by chunk of rows (cross_entropy.h, matmul.h): logits are never stored
/// whole.
///
/// Gradients by the hidden states and the weight are made in the forward pass, while a chunk's logits are at hand, as
/// for a result of gradient 1; the backward pass multiplies them by what it is given. So they live from one to the
/// other, and there is no second product. Sums over rows go on from chunk to chunk, so results do not depend on the
/// chunks.
struct LinearCrossEntropy: Sendable {
  let targets: PredictionTargets
  /// The most bytes of float32 logits at a time, or those of 32 rows.
  let logitBytes: Int

  func callAsFunction(_ hidden: Tensor, _ head: OutputHead) -> Tensor {
    precondition(
      hidden.shape.rank == 2 && hidden.shape[1] == head.shape[1] && targets.rowCount == hidden.shape[0],
      "cross_entropy: hidden \(hidden.specification), head \(head.shape), \(targets.rowCount) targets")
    let backend = hidden.backend
    let products = DenseKernels(hidden.dtype, head.productDType(with: hidden.dtype), on: backend)
    let gradients: DType? = products?.dtype == .bfloat16 ? .bfloat16Rows : nil
    guard let products, let kernel = backend.kernel(ANGEL_FAMILY_cross_entropy, KernelDTypes(.float32, gradients))
    else {
      return hidden.matmul(head.values, bias: nil).crossEntropy(targets)
    }
    let pass = Pass(hidden, head, kernel: kernel, products: products)
    let chunk = chunkRows(vocabulary: head.shape[0])
    // Where there are no rows, as on one of several processes, an empty chunk makes gradients of zero.
    for start in stride(from: 0, to: Swift.max(1, targets.rowCount), by: chunk) {
      pass.run(start..<Swift.min(start + chunk, targets.rowCount), targets)
    }
    let (hiddenGradient, weightGradient) = (pass.hiddenGradient, pass.weightGradient)
    return pass.losses.sum().recorded(from: [hidden] + head.trainable) { _ in
      { gradient in
        let results = [hiddenGradient?.scaledInPlace(by: gradient), weightGradient?.scaledInPlace(by: gradient)]
        return Array(results.prefix(1 + head.trainable.count))
      }
    }
  }

  /// Rows whose logits are at hand together: about equally many in each chunk, and whole tiles of products that sum
  /// over rows (matmul.h), which cuts elsewhere would show in.
  private func chunkRows(vocabulary: Int) -> Int {
    let limit = Swift.max(32, logitBytes / Swift.max(1, vocabulary * 4))
    guard targets.rowCount > 32 else { return limit }
    let even = (targets.rowCount + limit - 1) / limit
    let rows = (targets.rowCount + even - 1) / even
    return Swift.min((rows + 31) / 32, limit / 32) * 32
  }

  /// The results, filled chunk by chunk before anyone sees them.
  private struct Pass {
    let hidden: Tensor
    let kernel: Kernel
    let products: DenseKernels
    let vocabulary: Int
    /// The head's rows, and its columns, as products read them.
    let panels: Tensor
    let transposedPanels: Tensor?
    let losses: Tensor
    let hiddenGradient: Tensor?
    let weightGradient: Tensor?

    init(_ hidden: Tensor, _ head: OutputHead, kernel: Kernel, products: DenseKernels) {
      let backend = hidden.backend
      self.hidden = hidden.detached
      self.kernel = kernel
      self.products = products
      vocabulary = head.shape[0]
      panels = head.panels(products)
      transposedPanels = hidden.isTrainable ? head.transposedPanels(products) : nil
      losses = Tensor(uninitialized: TensorSpecification([hidden.shape[0]], .float32), on: backend)
      hiddenGradient = hidden.isTrainable ? Tensor(uninitialized: hidden.specification, on: backend) : nil
      weightGradient =
        head.trainable.isEmpty
        ? nil : Tensor(uninitialized: TensorSpecification(head.shape, .float32), on: backend, kind: .gradients)
    }

    func run(_ rows: Range<Int>, _ targets: PredictionTargets) {
      let (hidden, targets, backend) = (hidden.prefix(rows), targets.prefix(rows), hidden.backend)
      let logits = Tensor(
        uninitialized: TensorSpecification([rows.count, vocabulary], .float32), on: backend, kind: .workspace)
      products.multiply(products.rows(of: hidden), panels, into: logits)
      // Nobody else has seen the logits: in float32 they become their own gradient.
      let isTrained = hiddenGradient != nil || weightGradient != nil
      let slopes =
        products.dtype == .float32
        ? logits
        : Tensor(
          uninitialized: TensorSpecification(isTrained ? logits.shape : [0, 1], .bfloat16Rows), on: backend,
          kind: .workspace)
      let arguments = angel_cross_entropy_arguments(
        logits: logits.floats, targets: targets.tokens.int32s, weights: targets.weights.floats,
        losses: losses.prefix(rows).mutableFloats, gradient: isTrained ? slopes.address : nil,
        rows: Int64(rows.count), vocabulary: Int64(vocabulary), smoothing: targets.labelSmoothing,
        penalty: targets.partitionPenalty)
      let work = Work(bytes: logits.specification.byteCount, multiplyAdds: 32 * logits.shape.elementCount)
      backend.launch(kernel, arguments, work, keeping: logits, slopes, targets)
      if let hiddenGradient, let transposedPanels {
        products.multiply(products.rows(of: slopes), transposedPanels, into: hiddenGradient.prefix(rows))
      }
      if let weightGradient {
        products.multiply(
          products.rows(of: slopes, transposed: true), products.panels(of: hidden, transposed: true),
          into: weightGradient, accumulates: rows.lowerBound > 0)
      }
    }
  }
}

/// The weight of an output head, [V, D]: a dense matrix, trained or not, or a packed constant.
enum OutputHead: Sendable {
  case dense(Tensor)
  case packed(PackedMatrix)

  var shape: Shape {
    switch self {
    case .dense(let weight): weight.shape
    case .packed(let matrix): [matrix.columns, matrix.depth]
    }
  }

  var dtype: DType {
    switch self {
    case .dense(let weight): weight.dtype
    case .packed(let matrix): matrix.dtype
    }
  }

  /// What products with hidden states of `dtype` read of the weight: quantised values are turned into that.
  func productDType(with dtype: DType) -> DType {
    guard case .packed(let matrix) = self, matrix.dtype != .float32, matrix.dtype != .bfloat16 else {
      return self.dtype
    }
    return dtype
  }

  /// The weight, when gradients are taken by it.
  var trainable: [Tensor] {
    guard case .dense(let weight) = self, weight.isTrainable else { return [] }
    return [weight]
  }

  /// The weight as a dense tensor.
  var values: Tensor {
    switch self {
    case .dense(let weight): weight
    case .packed(let matrix): matrix.dequantized()
    }
  }

  func panels(_ products: DenseKernels) -> Tensor {
    switch self {
    case .dense(let weight): products.panels(of: weight.detached)
    case .packed(let matrix):
      matrix.dtype == products.dtype ? matrix.panels : products.panels(of: matrix.dequantized())
    }
  }

  func transposedPanels(_ products: DenseKernels) -> Tensor {
    switch self {
    case .dense(let weight): products.panels(of: weight.detached, transposed: true)
    case .packed(let matrix): matrix.transposedPanels(products)
    }
  }
}
