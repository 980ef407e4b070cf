import AngelCore
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
  /// m, [outputs]: the lengths of the weight's rows at first; nil without DoRA.
  public var magnitude: Parameter?
  /// Σ W² over each row of the layer's weight, [outputs] float32; nil without DoRA.
  var rowSquares: Tensor?
  /// What each output is multiplied by, where the adapter is a constant with a magnitude.
  private var constantScales: Tensor?
  /// Usually alpha / rank.
  public let scale: Float

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

  /// Begins a magnitude at the lengths of the rows of `weight` [outputs, inputs], so that nothing changes at first.
  public mutating func addMagnitude(of weight: Tensor) {
    let squares = weight.squared().sum(over: 1).reshaped(-1)
    let magnitude = Parameter([weight.shape[0]], .vector)
    magnitude.value = .trained(sqrt(squares).copied(to: .weights))
    self.magnitude = magnitude
    rowSquares = squares.copied(to: .weights)
  }

  /// What each output is multiplied by, m / ‖V‖: [outputs] float32; nil without DoRA.
  ///
  /// V is never made: ‖V‖² = ‖W‖² + 2s Σ B ∘ (W Aᵀ) + s² Σ B ∘ (B A Aᵀ), and W Aᵀ is a product of this layer with
  /// `rank` rows.
  ///
  /// - Parameter product: x Wᵀ for x [R, inputs].
  func outputScales(_ product: (Tensor) -> Tensor) -> Tensor? {
    if let constantScales { return constantScales }
    guard let magnitude, let rowSquares else { return nil }
    let (a, b, s) = (Self.dense(down), Self.dense(up), Double(scale))
    let across = product(a).detached.cast(to: .float32).permuted(1, 0)  // W Aᵀ [outputs, rank]
    let gram: Tensor = a.matmul(a, bias: nil)  // A Aᵀ, symmetric
    let inner: Tensor = b.matmul(gram, bias: nil)  // B A Aᵀ [outputs, rank]
    let change = (b * (across * (2 * s) + inner * (s * s))).sum(over: 1).reshaped(-1)
    let squares = rowSquares + change
    return magnitude.vector / sqrt(maximum(squares, squares.constant(1e-30)))
  }

  /// This adapter beside `weight` as a constant, for serving: matrices packed in float32, a magnitude turned into what
  /// each output is multiplied by.
  public func frozen(beside weight: Parameter) -> LowRankAdapter {
    var result = self
    result.down = down.constant(.f32)
    result.up = up.constant(.f32)
    guard let magnitude else { return result }
    let lengths = Self.rowLengths(weight.denseValues + weightChange())
    result.constantScales = (magnitude.vector.detached / lengths.reshaped(-1)).copied(to: .weights)
    (result.magnitude, result.rowSquares) = (nil, nil)
    return result
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
    guard let magnitude else { return sum }
    return sum * (magnitude.vector.detached.reshaped(-1, 1) / Self.rowLengths(sum))
  }

  /// The lengths of a matrix's rows, [outputs, 1]. As in training: a row of zeros has no direction to keep.
  private static func rowLengths(_ matrix: Tensor) -> Tensor {
    let squares = matrix.squared().sum(over: 1)
    return sqrt(maximum(squares, squares.constant(1e-30)))
  }

  /// A parameter's values, trained or not, as a constant.
  private static func dense(_ parameter: Parameter) -> Tensor {
    parameter.denseValues.detached
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("down", &down)
    visitor.visit("up", &up)
    visitor.visit("magnitude", &magnitude)
  }
}

/// Visits every linear layer of a module tree with its path.
private struct LinearVisitor: ParameterVisitor {
  var path: [String] = []
  let body: (String, inout Linear) -> Void

  mutating func visit(_ name: String, _ module: inout some Module) {
    path.append(name)
    defer { path.removeLast() }
    if var linear = module as? Linear {
      body(path.joined(separator: "."), &linear)
      module = Self.cast(linear, like: module)
      return
    }
    module.visitChildren(&self)
  }

  mutating func visit(_ name: String, _ modules: inout [some Module]) {
    path.append(name)
    for index in modules.indices { visit(String(index), &modules[index]) }
    path.removeLast()
  }

  mutating func visit(_ name: String, _ module: inout (some Module)?) {
    guard var present = module else { return }
    visit(name, &present)
    module = present
  }

  mutating func visit(_ name: String, _ parameter: inout Parameter?) {}
  mutating func visit(_ name: String, _ parameter: inout Parameter) {}

  /// `linear` as the type that `module` has, which is Linear.
  private static func cast<Kind: Module>(_ linear: Linear, like module: Kind) -> Kind { linear as? Kind ?? module }
}

extension Module {
  /// Calls `body` with the path of every linear layer and the layer, which it may change.
  public mutating func visitLinearLayers(_ body: (String, inout Linear) -> Void) {
    withoutActuallyEscaping(body) { body in
      var visitor = LinearVisitor(body: body)
      visitChildren(&visitor)
    }
  }
}
