public import AngelCore
public import AngelTensor
import Synchronization

/// A trained array with an identity: what is loaded, saved and optimised.
///
/// Its value is replaced (`value`) or, by an optimizer alone, changed in place (`update`); both bump `version`.
public final class Parameter: Sendable {
  /// What the array is used for, which decides how it is held.
  public enum Role: Sendable {
    /// The weight of a linear layer or an embedding, [outputs, inputs]: a constant is held in packed panels.
    case matrix
    /// A small matrix whose values are never rounded and whose products are always in float32: the router of experts.
    case exactMatrix
    /// A norm's weight or a bias: held in float32.
    case vector
  }

  /// How the value is held now.
  public enum Value: Sendable {
    case absent
    /// A constant vector.
    case vector(Tensor)
    /// A constant matrix, with the arithmetic its products use.
    case matrix(PackedMatrix, Arithmetic)
    /// Float32 values in row-major order that gradients are taken by.
    case trained(Tensor)
    /// The same in two halves, of which products read the upper one, in bfloat16.
    case halved(TrainedValues)
    /// Of such values this process holds a share; the whole is put together when it is asked for.
    case parted(any PartedValues)
  }

  public let shape: Shape
  public let role: Role
  /// The share of all tokens whose rows are multiplied with it: K / E in an expert. Only arithmetic is counted by it.
  public let tokenShare: Double
  /// What gradients by this parameter are found under.
  package let leaf: GradientNode
  private let state = Mutex<(value: Value, version: Int, computing: DType)>((.absent, 0, .float32))

  /// A parameter without a value yet.
  public init(_ shape: Shape, _ role: Role, tokenShare: Double = 1) {
    self.shape = shape
    self.role = role
    self.tokenShare = tokenShare
    leaf = GradientNode(leaf: TensorSpecification(shape, .float32))
  }

  /// How often the value has been set or changed.
  public var version: Int { state.withLock { $0.version } }

  /// What training computes in where this parameter takes part: float32, or bfloat16, which activations then are and matrices
  /// are read as. Gradients and what optimizers change stay float32.
  public var computing: DType { state.withLock { $0.computing } }

  /// The dtype of activations made with this parameter; nil: that of the input.
  var output: DType? { computing == .bfloat16 && role != .exactMatrix ? .bfloat16 : nil }

  /// x in the dtype that products with this parameter are computed in.
  func operand(_ x: Tensor) -> Tensor {
    if role == .exactMatrix { return x.dtype == .bfloat16 ? x.cast(to: .float32) : x }
    return output.map { x.cast(to: $0) } ?? x
  }

  /// Says what training computes in; trained values are held accordingly.
  func compute(in dtype: DType) {
    precondition(dtype == .float32 || dtype == .bfloat16, "training computes in f32 or bf16, not \(dtype.name)")
    state.withLock { $0.computing = dtype }
    if case .parted = value { preconditionFailure("what training computes in is said before values are shared out") }
    if let values = trainedValues { value = .trained(values.values) }
  }

  /// The value; setting it checks the shape. Trained matrices are taken apart for computing in bfloat16.
  public var value: Value {
    get { state.withLock { $0.value } }
    set {
      switch newValue {
      case .absent: break
      case .vector(let tensor), .trained(let tensor):
        precondition(
          tensor.specification == TensorSpecification(shape, .float32),
          "a parameter of shape \(shape) was given \(tensor.specification)")
      case .halved(let values):
        precondition(
          values.tensor.shape == shape, "a parameter of shape \(shape) was given \(values.tensor.specification)")
      case .parted(let values):
        precondition(values.shape == shape, "a parameter of shape \(shape) was given shares of \(values.shape)")
      case .matrix(let matrix, _):
        precondition(
          shape.rank == 2 && matrix.columns == shape[0] && matrix.depth == shape[1],
          "a parameter of shape \(shape) was given a matrix of [\(matrix.columns), \(matrix.depth)]")
      }
      let held = held(newValue)
      state.withLock { $0 = (held, $0.version + 1, $0.computing) }
    }
  }

  private func held(_ value: Value) -> Value {
    guard case .trained(let tensor) = value, computing == .bfloat16, role == .matrix else { return value }
    return .halved(TrainedValues(halving: tensor))
  }

  /// What products read of the trained values, as something gradients are taken by; nil when the parameter is a constant.
  public var trained: Tensor? {
    if case .parted(let values) = value { return values.readable.leaf(leaf) }
    return trainedValues?.tensor.leaf(leaf)
  }

  /// The trained values as optimizers and checkpoints see them; nil when the parameter is a constant.
  public var trainedValues: TrainedValues? {
    switch value {
    case .trained(let tensor): TrainedValues(tensor)
    case .halved(let values): values
    case .parted(let values): values.gathered()
    case .absent, .vector, .matrix: nil
    }
  }

  /// Whether gradients are taken by it; nothing is put together to tell.
  public var isTrained: Bool {
    switch value {
    case .trained, .halved, .parted: true
    case .absent, .vector, .matrix: false
    }
  }

  /// The tensor of a vector, trained or loaded.
  public var vector: Tensor {
    switch value {
    case .vector(let tensor): return tensor
    case .trained(let tensor): return tensor.detached.leaf(leaf)
    case .parted(let values): return values.readable.leaf(leaf)
    case .absent, .matrix, .halved: preconditionFailure("a vector parameter \(shape) has no value")
    }
  }

  /// The packed panels of a loaded matrix, with the arithmetic its products use.
  public var matrix: (PackedMatrix, Arithmetic) {
    guard case .matrix(let matrix, let arithmetic) = value else {
      preconditionFailure("a matrix parameter \(shape) has no value")
    }
    return (matrix, arithmetic)
  }

  /// Changes trained values in place: for optimizers, after the backward pass and before the next forward pass. A graph that
  /// was built before can no longer run backward.
  public func update(_ change: (TrainedValues) throws -> Void) rethrows {
    guard let values = trainedValues else {
      preconditionFailure("a constant parameter \(shape) cannot be updated")
    }
    leaf.change()
    state.withLock { $0.version += 1 }
    try change(values)
  }
}

/// How products with a weight are computed (`--precision`).
public enum Arithmetic: String, CaseIterable, Sendable {
  /// The quickest for the weights: int8 activations against quantised weights, bfloat16 activations against bfloat16
  /// weights, float32 activations against others. Weights stay as they are.
  case fast
  /// Weights and activations rounded to bfloat16, float32 accumulation.
  case bf16
  /// Weights exactly as stored, everything in float32.
  case f32
}

extension Gradients {
  /// The gradient by a parameter, of its shape in float32; nil where the result does not depend on it.
  public subscript(parameter: Parameter) -> Tensor? { self[parameter.leaf] }
}

extension Arithmetic {
  /// What activations are turned into before a product with a weight of this dtype.
  public func inputDType(for weight: DType) -> DType {
    switch self {
    case .f32: .float32
    case .fast, .bf16:
      weight.isQuantized
        ? .int8Rows : weight == .bfloat16 || weight == .bfloat16_2of4 ? .bfloat16Rows : .float32
    }
  }
}
