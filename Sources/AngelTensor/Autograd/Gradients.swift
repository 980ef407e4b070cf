import AngelCore

/// The gradients of one number by everything trainable it was made from.
public struct Gradients: Sendable {
  private var byLeaf: [ObjectIdentifier: (leaf: GradientNode, gradient: Tensor)] = [:]

  /// The gradient by a leaf, nil where the result does not depend on it.
  package subscript(leaf: GradientNode) -> Tensor? {
    get { byLeaf[ObjectIdentifier(leaf)]?.gradient }
    set { byLeaf[ObjectIdentifier(leaf)] = newValue.map { (leaf, $0) } }
  }

  /// The gradient by a trainable tensor, nil where the result does not depend on it.
  package subscript(tensor: Tensor) -> Tensor? { tensor.gradientNode.flatMap { self[$0] } }
}

extension Tensor {
  /// The gradients of this number (a tensor of one element) by everything trainable it was made from.
  ///
  /// Activations are released as the pass goes, so a graph runs backward once. Parameters must not have changed since the
  /// forward pass.
  ///
  /// - Throws: the first failure recorded on the backend since it was last asked.
  public func backward() throws(BackendError) -> Gradients {
    var gradients = Gradients()
    backward { gradients[$0] = $1 }
    try backend.synchronize()
    return gradients
  }

  /// The gradients of the sum of this tensor's elements times `weights`, by everything trainable it was made from.
  package func gradients(weightedBy weights: Tensor) -> Gradients {
    guard let gradientNode else { preconditionFailure("backward: nothing trainable went into this tensor") }
    var gradients = Gradients()
    BackwardPass.run(from: gradientNode, gradient: weights) { gradients[$0] = $1 }
    return gradients
  }

  /// Gives `visit` each leaf and its gradient as soon as that is final, in an order that is the program's.
  package func backward(visit: (_ leaf: GradientNode, _ gradient: Tensor) -> Void) {
    precondition(shape.elementCount == 1, "backward: the result must be one number, not \(specification)")
    guard let gradientNode else { preconditionFailure("backward: nothing trainable went into this number") }
    BackwardPass.run(from: gradientNode, gradient: constant(1).reshaped(shape.array), visit: visit)
  }
}
