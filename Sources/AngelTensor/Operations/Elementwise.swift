import AngelCore
import CAngelKernels

/// Elementwise functions of two tensors, broadcasting sizes of 1 (primitives.h). Float32 with bfloat16 gives float32.
private struct Binary<Family: BinaryFamily>: TensorOperation {
  static var family: angel_family { Family.family }

  func result(of inputs: [TensorSpecification]) -> TensorSpecification {
    let (left, right) = (inputs[0], inputs[1])
    precondition(
      left.dtype == right.dtype || Set([left.dtype, right.dtype]) == [.float32, .bfloat16],
      "\(Self.family.name): \(left) and \(right) differ in dtype")
    guard let shape = left.shape.broadcast(with: right.shape) else {
      preconditionFailure("\(Self.family.name): \(left) and \(right) do not broadcast")
    }
    return TensorSpecification(shape, left.dtype == right.dtype ? left.dtype : .float32)
  }

  /// Kernels of bfloat16 are for equal shapes.
  func kernelDTypes(_ inputs: [TensorSpecification]) -> KernelDTypes {
    let (left, right) = (inputs[0], inputs[1])
    guard left.dtype == .bfloat16 || right.dtype == .bfloat16 else { return KernelDTypes(left.dtype) }
    return KernelDTypes(left.dtype, right.dtype, left.shape == right.shape ? nil : .bfloat16)
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

  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let shapes = inputs.map(\.shape)
    let (left, right) = (
      wanted[0] ? Family.leftGradient(inputs[0], inputs[1]) : nil,
      wanted[1] ? Family.rightGradient(inputs[0], inputs[1]) : nil
    )
    return { [left?($0).summed(to: shapes[0]), right?($0).summed(to: shapes[1])] }
  }
}

/// Elementwise functions of one tensor (primitives.h).
private struct Unary<Family: UnaryFamily>: TensorOperation {
  static var family: angel_family { Family.family }

  func result(of inputs: [TensorSpecification]) -> TensorSpecification { inputs[0] }

  func arguments(_ inputs: [Tensor], _ output: Tensor) -> angel_unary_arguments {
    angel_unary_arguments(
      input: UnsafeRawPointer(inputs[0].address), output: output.address, count: Int64(output.shape.elementCount))
  }

  func gradient(_ inputs: [Tensor], _ output: Tensor, wanted: [Bool]) -> BackwardFunction {
    let gradient = Family.gradient(inputs[0], output)
    return { [gradient($0)] }
  }
}

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

  /// 1 where this tensor is at least `other`, 0 elsewhere and where either is NaN; axes of size 1 are broadcast.
  public func isAtLeast(_ other: Tensor) -> Tensor { Binary<AtLeast>()(self, other) }

  /// A scalar of this tensor's dtype and device, in float32 beside bfloat16.
  public func constant(_ value: Double) -> Tensor {
    switch dtype {
    case .float64: Tensor([value], shape: [], on: backend)
    case .float32, .bfloat16: Tensor([Float(value)], shape: [], on: backend)
    default: preconditionFailure("constant: \(dtype.name) tensors take no part in arithmetic; cast to f32 or f64 first")
    }
  }

  /// This tensor times a scalar, in this tensor's own memory: only for a tensor that nobody else can see.
  func scaledInPlace(by factor: Tensor) -> Tensor {
    precondition(factor.specification == TensorSpecification([], .float32), "scaled: by \(factor.specification)")
    guard let kernel = backend.kernel(ANGEL_FAMILY_scale, KernelDTypes(dtype)) else { return self * factor }
    let arguments = angel_scale_arguments(
      values: address, factor: factor.floats, count: Int64(shape.elementCount))
    backend.launch(kernel, arguments, Work(bytes: 2 * specification.byteCount), keeping: factor)
    return self
  }

  /// Adds a tensor of the same specification, in this tensor's own memory where nobody else can see it.
  package mutating func add(_ other: Tensor) {
    let dtypes = KernelDTypes(dtype, dtype == .bfloat16 ? .bfloat16 : nil)
    guard specification == other.specification, isStorageUnique, let kernel = backend.kernel(Add.family, dtypes)
    else { return self = self + other }
    let work = Work(bytes: 3 * specification.byteCount)
    backend.launch(kernel, Binary<Add>().arguments([self, other], self), work, keeping: other)
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
