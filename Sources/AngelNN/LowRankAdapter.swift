import AngelCore
public import AngelTensor

/// What is learnt beside a frozen linear layer: scale · B A x with A [rank, inputs] and B [outputs, rank]
/// (LoRA, arXiv:2106.09685, §4.1).
public struct LowRankAdapter: Module {
  /// A, [rank, inputs].
  public var down: Parameter
  /// B, [outputs, rank]: zero at first, so that training begins from the model as it was.
  public var up: Parameter
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

  /// What the layer's weight has to gain for the adapter to be left out: scale · B A, [outputs, inputs].
  public func weightChange() -> Tensor {
    func dense(_ parameter: Parameter) -> Tensor { parameter.trainedValues?.values ?? parameter.matrix.0.dequantized() }
    let (down, up) = (dense(down), dense(up))
    let product = up.reshaped([1] + up.shape.array).matmul(down.reshaped([1] + down.shape.array))
    return product.reshaped(up.shape[0], down.shape[1]) * Double(scale)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("down", &down)
    visitor.visit("up", &up)
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
