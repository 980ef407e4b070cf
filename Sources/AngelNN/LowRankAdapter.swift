public import AngelCore
public import AngelTensor

/// What is learnt beside a frozen linear layer: scale · B A x with A [rank, inputs] and B [outputs, rank]
/// (LoRA, arXiv:2106.09685, §4.1).
///
/// With a `magnitude` m the adapted weight's rows keep their direction and have these lengths (DoRA, arXiv:2402.09353,
/// equation 5): W' = m · V / ‖V‖, V = W + scale · B A, the norm of each row being a constant for gradients (§4.3).
public struct LowRankAdapter: Module {
  /// A, [rank, inputs].
  public var down: Parameter
  /// B, [outputs, rank]: zero at first, so that training begins from the model as it was.
  public var up: Parameter
  /// Nil without DoRA.
  public var magnitude: Magnitude?
  /// Usually alpha / rank.
  public let scale: Float

  /// The lengths that the adapted weight's rows are given.
  public enum Magnitude: Sendable {
    /// m, [outputs], which is learnt, beside Σ W² over each row of the layer's weight, [outputs] float32.
    case learnt(Parameter, rowSquares: Tensor)
    /// m / ‖V‖ where nothing changes any more: what each output is multiplied by, [outputs] float32.
    case constant(Tensor)
  }

  public init(_ inputs: Int, _ outputs: Int, rank: Int, scale: Float, tokenShare: Double = 1) {
    down = Parameter([rank, inputs], .matrix, tokenShare: tokenShare)
    up = Parameter([outputs, rank], .matrix, tokenShare: tokenShare)
    self.scale = scale
  }

  /// [R, inputs] → [R, outputs]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    // The scale is applied where there is least of it.
    let inner = Self.product(x, down)
    return Self.product((inner * Double(scale)).cast(to: inner.dtype), up)
  }

  private static func product(_ x: Tensor, _ weight: Parameter) -> Tensor {
    let x = weight.operand(x)
    if let dense = weight.trained { return x.matmul(dense, bias: nil) }
    return x.matmul(weight.matrix.0)
  }

  /// Gives the rows of `weight` [outputs, inputs] lengths to learn.
  ///
  /// - Parameter lengths: [outputs]; nil: those they have, so that nothing changes at first.
  public mutating func addMagnitude(_ lengths: Tensor? = nil, of weight: Tensor) {
    let squares = weight.squared().sum(over: 1).reshaped(-1)
    let parameter = Parameter([weight.shape[0]], .vector)
    parameter.value = .trained((lengths ?? sqrt(squares)).copied(to: .weights))
    magnitude = .learnt(parameter, rowSquares: squares.copied(to: .weights))
  }

  /// What each output is multiplied by, m / ‖V‖: [outputs] float32; nil without DoRA.
  ///
  /// V is never made: ‖V‖² = ‖W‖² + 2s Σ B ∘ (W Aᵀ) + s² Σ B ∘ (B A Aᵀ), and W Aᵀ is a product of this layer with
  /// `rank` rows.
  ///
  /// - Parameter product: x Wᵀ for x [R, inputs].
  func outputScales(_ product: (Tensor) -> Tensor) -> Tensor? {
    let (magnitude, rowSquares): (Parameter, Tensor)
    switch self.magnitude {
    case nil: return nil
    case .constant(let scales): return scales
    case .learnt(let parameter, let squares): (magnitude, rowSquares) = (parameter, squares)
    }
    let (a, b, s) = (Self.dense(down), Self.dense(up), Double(scale))
    let across = product(a).detached.cast(to: .float32).permuted(1, 0)  // W Aᵀ [outputs, rank]
    let gram: Tensor = a.matmul(a, bias: nil)  // A Aᵀ, symmetric
    let inner: Tensor = b.matmul(gram, bias: nil)  // B A Aᵀ [outputs, rank]
    let change = (b * (across * (2 * s) + inner * (s * s))).sum(over: 1).reshaped(-1)
    return magnitude.vector / Self.lengths(squares: rowSquares + change)
  }

  /// This adapter as a constant, for serving: matrices packed in float32, a magnitude turned into what each output is
  /// multiplied by.
  ///
  /// - Parameter weight: what it stands beside, [outputs, inputs]; not needed without a magnitude.
  public func frozen(beside weight: Tensor?) -> LowRankAdapter {
    var result = self
    result.down = down.constant(.f32)
    result.up = up.constant(.f32)
    result.magnitude = constantScales(beside: weight).map { .constant($0.copied(to: .weights)) }
    return result
  }

  /// This adapter as one of several that serve side by side (`AdapterBank`), held in `dtype`; `weight` as above.
  public func matrices(beside weight: Tensor?, dtype: DType) throws -> LowRankMatrices {
    LowRankMatrices(
      down: try Self.dense(down).read(), up: try Self.dense(up).read(), rank: down.shape[0], scale: scale,
      scales: try constantScales(beside: weight)?.read(), dtype: dtype, on: Self.dense(down).backend)
  }

  private func constantScales(beside weight: Tensor?) -> Tensor? {
    switch magnitude {
    case nil: return nil
    case .constant(let scales): return scales
    case .learnt(let lengths, _):
      guard let weight else { preconditionFailure("an adapter's lengths of rows without the weight they are of") }
      return lengths.vector.detached / Self.rowLengths(weight + weightChange())
    }
  }

  /// What the layer's weight has to gain for the adapter to be left out: scale · B A, [outputs, inputs].
  public func weightChange() -> Tensor {
    let (down, up) = (Self.dense(down), Self.dense(up))
    let product = up.reshaped([1] + up.shape.array).matmul(down.reshaped([1] + down.shape.array))
    return product.reshaped(up.shape[0], down.shape[1]) * Double(scale)
  }

  /// `weight` [outputs, inputs] with the adapter in it.
  public func merged(into weight: Tensor) -> Tensor {
    let sum = weight + weightChange()
    switch magnitude {
    case nil: return sum
    case .constant(let scales): return sum * scales.reshaped(-1, 1)
    case .learnt(let lengths, _): return sum * (lengths.vector.detached / Self.rowLengths(sum)).reshaped(-1, 1)
    }
  }

  /// The lengths of a matrix's rows, [outputs].
  private static func rowLengths(_ matrix: Tensor) -> Tensor {
    lengths(squares: matrix.squared().sum(over: 1).reshaped(-1))
  }

  /// Lengths by their squares; a row of zeros has no direction to keep.
  private static func lengths(squares: Tensor) -> Tensor { sqrt(maximum(squares, squares.constant(1e-30))) }

  /// A parameter's values, trained or not, as a constant.
  private static func dense(_ parameter: Parameter) -> Tensor {
    parameter.denseValues.detached
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("down", &down)
    visitor.visit("up", &up)
    guard case .learnt(var lengths, let rowSquares)? = magnitude else { return }
    visitor.visit("magnitude", &lengths)
    magnitude = .learnt(lengths, rowSquares: rowSquares)
  }
}
