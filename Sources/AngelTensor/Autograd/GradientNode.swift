import AngelCore
import Synchronization

/// From the gradient of an operation's result to the gradients of its inputs, nil for those that need none.
///
/// The tensors it captures are what the operation saves for its backward pass; they are released right after it ran.
package typealias BackwardFunction = @Sendable (_ gradient: Tensor) -> [Tensor?]

/// A tensor's place in the graph that `Tensor.backward` walks: a leaf, or the operation that made it.
///
/// Nodes point at what they were made from and nothing points back, so a graph lives as long as a tensor made from it.
package final class GradientNode: Sendable {
  /// An input of an operation and the version it had then.
  package struct Edge: Sendable {
    package let node: GradientNode
    let version: Int
  }

  private enum Content {
    case leaf
    case operation([Edge?], BackwardFunction)
    /// Its gradient has run: nothing is left of it.
    case spent
  }

  /// Nodes are numbered as they are made, so an operation has a higher number than all its inputs.
  private static let count = Atomic<UInt64>(0)

  package let number: UInt64
  /// Shape of the tensor and dtype of its gradients, which are summed in it: for results of operations the tensor's own.
  package let specification: TensorSpecification
  private let content: Mutex<Content>
  /// How often a leaf's values have been changed in place.
  private let changes = Atomic<Int>(0)

  /// A leaf: something gradients are taken by.
  package init(leaf specification: TensorSpecification) {
    number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
    self.specification = specification
    content = Mutex(.leaf)
  }

  /// The result of an operation on `inputs`, nil where an input is a constant.
  init(_ specification: TensorSpecification, inputs: [GradientNode?], _ backward: @escaping BackwardFunction) {
    number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
    self.specification = specification
    content = Mutex(.operation(inputs.map { $0.map { Edge(node: $0, version: $0.version) } }, backward))
  }

  deinit {
    // Iterative: the chain below a node may be long, and the stack is not.
    var pending = takeInputs()
    while var node = pending.popLast() {
      if isKnownUniquelyReferenced(&node) { pending += node.takeInputs() }
    }
  }

  /// How often the values have been changed in place.
  package var version: Int { changes.load(ordering: .acquiring) }

  /// Says that a leaf's values are about to be changed in place: graphs that saved them can no longer run backward.
  package func change() { changes.wrappingAdd(1, ordering: .acquiringAndReleasing) }

  /// Whether gradients are taken by this node rather than passed on.
  var isLeaf: Bool {
    content.withLock {
      if case .leaf = $0 { true } else { false }
    }
  }

  /// The inputs of an operation, nil for a leaf.
  var inputs: [Edge?]? {
    content.withLock {
      switch $0 {
      case .leaf: nil
      case .operation(let inputs, _): inputs
      case .spent: preconditionFailure("backward: part of this graph has run backward before; its activations are gone")
      }
    }
  }

  /// Takes what the operation saved, so that it is released with the caller's copy; nil for a leaf or a spent node.
  func takeOperation() -> (inputs: [Edge?], backward: BackwardFunction)? {
    content.withLock {
      guard case .operation(let inputs, let backward) = $0 else { return nil }
      $0 = .spent
      return (inputs, backward)
    }
  }
}

extension GradientNode {
  /// The inputs' nodes, which this node forgets.
  fileprivate func takeInputs() -> [GradientNode] { takeOperation()?.inputs.compactMap { $0?.node } ?? [] }
}

extension Tensor {
  /// Whether gradients reach this tensor: it is trainable, or made from something that is.
  public var isTrainable: Bool { gradientNode != nil }

  /// The same values as a constant.
  public var detached: Tensor {
    gradientNode == nil ? self : Tensor(shape: shape, dtype: dtype, storage: storage, byteOffset: byteOffset)
  }

  /// The same values as the tensor of `leaf`.
  package func leaf(_ leaf: GradientNode) -> Tensor {
    precondition(leaf.specification.shape == shape, "leaf: \(specification) for \(leaf.specification)")
    return with(gradientNode: leaf)
  }

  /// The same values as a leaf of their own.
  package func asLeaf() -> Tensor { with(gradientNode: GradientNode(leaf: specification)) }

  /// This result of an operation on `inputs` with its place in the graph; unchanged when they are all constants.
  ///
  /// - Parameter backward: makes the backward function, given which inputs need a gradient. It must capture constants
  ///   only (`detached`), and of those no more than it needs: they stay in memory until the backward pass.
  package func recorded(from inputs: [Tensor], _ backward: (_ wanted: [Bool]) -> BackwardFunction) -> Tensor {
    guard inputs.contains(where: \.isTrainable) else { return self }
    let function = backward(inputs.map(\.isTrainable))
    return with(gradientNode: GradientNode(specification, inputs: inputs.map(\.gradientNode), function))
  }

  /// This constant as the result of an operation on tensors with these places in the graph.
  func recorded(from inputs: [GradientNode?], _ backward: @escaping BackwardFunction) -> Tensor {
    with(gradientNode: GradientNode(specification, inputs: inputs, backward))
  }

  private func with(gradientNode: GradientNode) -> Tensor {
    Tensor(shape: shape, dtype: dtype, storage: storage, byteOffset: byteOffset, gradientNode: gradientNode)
  }
}
