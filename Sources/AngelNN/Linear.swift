import AngelCore
public import AngelTensor

/// y = x Wᵀ + b. How the weight is held (packed, quantised, trained, shared out or adapted) is this layer's business
/// alone.
public struct Linear: Module {
  /// [outputs, inputs]
  public var weight: Parameter
  /// [outputs]
  public var bias: Parameter?
  /// What is learnt beside the weight; nil for most layers.
  public var adapter: LowRankAdapter?
  /// Adapters that serve beside the weight, each row's own; nil: there are none (`AdapterBank`).
  var adaptedRows: AdaptedRows?
  /// Sees what the layer is given and what it makes; nil for most layers.
  public var observer: (any LayerObserver)?
  /// Those that have its other inputs, with whom outputs are summed; nil where it has all inputs.
  var peers: (any LayerPeers)?

  /// - Parameter tokenShare: the share of all tokens that go through it (`Parameter.tokenShare`).
  public init(
    _ inputs: Int, _ outputs: Int, usesBias: Bool = false, role: Parameter.Role = .matrix, tokenShare: Double = 1
  ) {
    weight = Parameter([outputs, inputs], role, tokenShare: tokenShare)
    bias = usesBias ? Parameter([outputs], .vector) : nil
  }

  /// A layer that shares its weight, as a tied output head does with the embedding.
  public init(tiedTo weight: Parameter) {
    self.weight = weight
    bias = nil
  }

  /// [R, inputs] → [R, outputs]; with peers this process's rows of them
  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard let observer else { return outputs(x) }
    observer.observe(x)
    return observer.observed(outputs(x))
  }

  private func outputs(_ x: Tensor) -> Tensor {
    if let adaptedRows, adaptedRows.isUsed { return adaptedRows(x, product(x, nil), bias: bias?.vector) }
    if let peers {
      precondition(adapter == nil, "a layer whose inputs are shared out has no adapter")
      let sum = peers.scattered(product(x, nil))
      // Added once, to what everyone's parts make together.
      return bias.map { (sum.cast(to: .float32) + $0.vector).cast(to: sum.dtype) } ?? sum
    }
    guard let adapter else { return product(x, bias?.vector) }
    guard let scales = adapter.outputScales({ product($0, nil) }) else { return product(x, bias?.vector) + adapter(x) }
    let sum = product(x, nil) + adapter(x)
    let scaled = sum.cast(to: .float32) * scales
    return (bias.map { scaled + $0.vector } ?? scaled).cast(to: sum.dtype)
  }

  private func product(_ x: Tensor, _ bias: Tensor?) -> Tensor {
    let x = weight.operand(x)
    if let dense = weight.trained { return x.matmul(dense, bias: bias) }
    let (matrix, arithmetic) = weight.matrix
    if x.dtype == .bfloat16 { return x.matmul(matrix, bias: bias) }
    let rows = arithmetic.inputDType(for: matrix.dtype)
    // Rounding has no gradient.
    let input = rows == .float32 || x.isTrainable ? x : x.quantizedRows(rows)
    return input.matmul(matrix, bias: bias)
  }

  /// The cross-entropy of this layer's outputs for x [R, inputs], summed over the rows with their weights: a scalar.
  /// The outputs are never stored whole.
  public func crossEntropy(_ x: Tensor, _ targets: PredictionTargets) -> Tensor {
    if bias != nil || adapter != nil { return self(x).crossEntropy(targets) }
    let x = weight.operand(x)
    return weight.trained.map { x.crossEntropy(head: $0, targets) } ?? x.crossEntropy(head: weight.matrix.0, targets)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("weight", &weight)
    visitor.visit("bias", &bias)
    visitor.visit("adapter", &adapter)
  }
}

/// What looks at the inputs and outputs of linear layers, to calibrate their rounding.
public protocol LayerObserver: AnyObject, Sendable {
  /// Called before each product with x [R, inputs].
  func observe(_ x: Tensor)
  /// Called after each product with y [R, outputs]; what takes its place, of the same values.
  func observed(_ y: Tensor) -> Tensor
}

extension LayerObserver {
  public func observe(_ x: Tensor) {}
  public func observed(_ y: Tensor) -> Tensor { y }
}
