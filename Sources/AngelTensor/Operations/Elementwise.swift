import AngelCore
import CAngelKernels

/// Elementwise functions of two tensors, broadcasting sizes of 1 (primitives.h).
private struct Binary<Family: ElementwiseFamily>: TensorOperation {
  static var family: angel_family { Family.family }

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (left, right) = (inputs[0], inputs[1])
    precondition(left.dtype == right.dtype, "\(Self.family.name): \(left) and \(right) differ in dtype")
    guard let shape = left.shape.broadcast(with: right.shape) else {
      preconditionFailure("\(Self.family.name): \(left) and \(right) do not broadcast")
    }
    return TensorSpecification(shape, left.dtype)
  }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_binary_arguments {
    var arguments = angel_binary_arguments()
    arguments.left = UnsafeRawPointer(inputs[0].address)
    arguments.right = UnsafeRawPointer(inputs[1].address)
    arguments.output = output.address
    withEightAxes(&arguments.sizes) { output.shape.fillSizes($0) }
    withEightAxes(&arguments.left_strides) { inputs[0].shape.fillStrides($0, broadcastTo: output.shape) }
    withEightAxes(&arguments.right_strides) { inputs[1].shape.fillStrides($0, broadcastTo: output.shape) }
    return arguments
  }
}

/// Elementwise functions of one tensor (primitives.h).
private struct Unary<Family: ElementwiseFamily>: TensorOperation {
  static var family: angel_family { Family.family }

  func result(of inputs: [TensorSpecification]) -> TensorSpecification { inputs[0] }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_unary_arguments {
    angel_unary_arguments(
      input: UnsafeRawPointer(inputs[0].address), output: output.address, count: Int64(output.shape.elementCount))
  }
}

private protocol ElementwiseFamily: Sendable { static var family: angel_family { get } }
private enum Add: ElementwiseFamily { static let family = ANGEL_FAMILY_add }
private enum Subtract: ElementwiseFamily { static let family = ANGEL_FAMILY_subtract }
private enum Multiply: ElementwiseFamily { static let family = ANGEL_FAMILY_multiply }
private enum Divide: ElementwiseFamily { static let family = ANGEL_FAMILY_divide }
private enum Maximum: ElementwiseFamily { static let family = ANGEL_FAMILY_maximum }
private enum Minimum: ElementwiseFamily { static let family = ANGEL_FAMILY_minimum }
private enum Negate: ElementwiseFamily { static let family = ANGEL_FAMILY_negate }
private enum Exponential: ElementwiseFamily { static let family = ANGEL_FAMILY_exp }
private enum Logarithm: ElementwiseFamily { static let family = ANGEL_FAMILY_log }
private enum SquareRoot: ElementwiseFamily { static let family = ANGEL_FAMILY_sqrt }
private enum Sine: ElementwiseFamily { static let family = ANGEL_FAMILY_sin }
private enum Cosine: ElementwiseFamily { static let family = ANGEL_FAMILY_cos }
private enum HyperbolicTangent: ElementwiseFamily { static let family = ANGEL_FAMILY_tanh }
private enum ErrorFunction: ElementwiseFamily { static let family = ANGEL_FAMILY_erf }

extension Tensor {
  /// Elementwise sum; axes of size 1 are broadcast.
  public static func + (left: Tensor, right: Tensor) -> Tensor { Binary<Add>()(left, right) }
  /// Elementwise difference; axes of size 1 are broadcast.
  public static func - (left: Tensor, right: Tensor) -> Tensor { Binary<Subtract>()(left, right) }
  /// Elementwise product; axes of size 1 are broadcast.
  public static func * (left: Tensor, right: Tensor) -> Tensor { Binary<Multiply>()(left, right) }
  /// Elementwise quotient; axes of size 1 are broadcast.
  public static func / (left: Tensor, right: Tensor) -> Tensor { Binary<Divide>()(left, right) }
  /// Elementwise negation.
  public static prefix func - (x: Tensor) -> Tensor { Unary<Negate>()(x) }

  public static func + (left: Tensor, right: Double) -> Tensor { left + left.constant(right) }
  public static func - (left: Tensor, right: Double) -> Tensor { left - left.constant(right) }
  public static func * (left: Tensor, right: Double) -> Tensor { left * left.constant(right) }
  public static func / (left: Tensor, right: Double) -> Tensor { left / left.constant(right) }
  public static func + (left: Double, right: Tensor) -> Tensor { right.constant(left) + right }
  public static func - (left: Double, right: Tensor) -> Tensor { right.constant(left) - right }
  public static func * (left: Double, right: Tensor) -> Tensor { right.constant(left) * right }
  public static func / (left: Double, right: Tensor) -> Tensor { right.constant(left) / right }

  /// A scalar of this tensor's dtype and device.
  public func constant(_ value: Double) -> Tensor {
    switch dtype {
    case .float64: Tensor([value], shape: [], on: backend)
    case .float32: Tensor([Float(value)], shape: [], on: backend)
    default: preconditionFailure("constant: \(dtype.name) tensors take no part in arithmetic; cast to f32 or f64 first")
    }
  }

  /// This tensor times itself.
  public func squared() -> Tensor { self * self }
}

/// Elementwise maximum; axes of size 1 are broadcast.
public func maximum(_ left: Tensor, _ right: Tensor) -> Tensor { Binary<Maximum>()(left, right) }
/// Elementwise minimum; axes of size 1 are broadcast.
public func minimum(_ left: Tensor, _ right: Tensor) -> Tensor { Binary<Minimum>()(left, right) }
/// Elementwise e to the power x.
public func exp(_ x: Tensor) -> Tensor { Unary<Exponential>()(x) }
/// Elementwise natural logarithm.
public func log(_ x: Tensor) -> Tensor { Unary<Logarithm>()(x) }
/// Elementwise square root.
public func sqrt(_ x: Tensor) -> Tensor { Unary<SquareRoot>()(x) }
/// Elementwise sine, x in radians.
public func sin(_ x: Tensor) -> Tensor { Unary<Sine>()(x) }
/// Elementwise cosine, x in radians.
public func cos(_ x: Tensor) -> Tensor { Unary<Cosine>()(x) }
/// Elementwise hyperbolic tangent.
public func tanh(_ x: Tensor) -> Tensor { Unary<HyperbolicTangent>()(x) }
/// Elementwise error function, 2/√π times the integral of exp(-t²) from 0 to x.
public func erf(_ x: Tensor) -> Tensor { Unary<ErrorFunction>()(x) }
/// Elementwise logistic function, 1 / (1 + exp(-x)).
public func sigmoid(_ x: Tensor) -> Tensor { 1 / (1 + exp(-x)) }
/// Elementwise x * sigmoid(x) (arXiv:1702.03118).
public func silu(_ x: Tensor) -> Tensor { x * sigmoid(x) }
