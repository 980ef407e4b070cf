public import AngelCore
public import AngelTensor
import Synchronization

/// A trained array with an identity: what is loaded, saved, and later optimised.
///
/// The value may be replaced, never changed in place; each replacement bumps `version`.
public final class Parameter: Sendable {
  /// What the array is used for, which decides how it is held.
  public enum Role: Sendable {
    /// The weight of a linear layer or an embedding, [outputs, inputs]: held in packed panels of the file's dtype.
    case matrix
    /// A small matrix whose values are never rounded and whose products are always in float32: the router of experts.
    case exactMatrix
    /// A norm's weight or a bias: held in float32.
    case vector
  }

  /// How the value is held now.
  public enum Value: Sendable {
    case absent
    case vector(Tensor)
    case matrix(PackedMatrix, Arithmetic)
  }

  public let shape: Shape
  public let role: Role
  private let state = Mutex<(value: Value, version: Int)>((.absent, 0))

  /// A parameter without a value yet.
  public init(_ shape: Shape, _ role: Role) {
    self.shape = shape
    self.role = role
  }

  /// How often the value has been set.
  public var version: Int { state.withLock { $0.version } }

  /// The value; setting it checks the shape.
  public var value: Value {
    get { state.withLock { $0.value } }
    set {
      switch newValue {
      case .absent: break
      case .vector(let tensor):
        precondition(tensor.shape == shape, "a parameter of shape \(shape) was given \(tensor.specification)")
      case .matrix(let matrix, _):
        precondition(
          shape.rank == 2 && matrix.columns == shape[0] && matrix.depth == shape[1],
          "a parameter of shape \(shape) was given a matrix of [\(matrix.columns), \(matrix.depth)]")
      }
      state.withLock { $0 = (newValue, $0.version + 1) }
    }
  }

  /// The tensor of a loaded vector.
  public var vector: Tensor {
    guard case .vector(let tensor) = value else { preconditionFailure("a vector parameter \(shape) has no value") }
    return tensor
  }

  /// The packed panels of a loaded matrix, with the arithmetic its products use.
  public var matrix: (PackedMatrix, Arithmetic) {
    guard case .matrix(let matrix, let arithmetic) = value else {
      preconditionFailure("a matrix parameter \(shape) has no value")
    }
    return (matrix, arithmetic)
  }
}

/// How products with a weight are computed (`--precision`).
public enum Arithmetic: String, CaseIterable, Sendable {
  /// The quickest for the weights: int8 activations against quantised weights, float32 activations against dense ones.
  case fast
  /// Weights rounded to bfloat16, float32 accumulation.
  case bf16
  /// Weights exactly as stored, everything in float32.
  case f32
}
