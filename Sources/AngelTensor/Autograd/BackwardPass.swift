import AngelCore

/// One walk from a result back to the leaves, operations in descending order of creation.
///
/// The order, and with it the order in which gradients of one tensor are summed, is that of the program: a run repeats bit
/// for bit. What an operation saved is released as soon as its gradient has run.
struct BackwardPass {
  /// Nodes with lower numbers are not entered: gradients are taken by them, as by leaves.
  private let boundary: UInt64
  /// Operations that have not run, in ascending order of creation.
  private var operations: [GradientNode] = []
  /// For each node that gradients are taken by, the uses whose gradients are still to come.
  private var uses: [ObjectIdentifier: Int] = [:]
  private var gradients: [ObjectIdentifier: Tensor] = [:]

  /// Runs the gradient of every operation between `root` and the nodes that gradients are taken by, and gives `visit`
  /// each of those with its gradient as soon as that is final.
  static func run(
    from root: GradientNode, gradient: Tensor, boundary: UInt64 = 0,
    visit: (_ node: GradientNode, _ gradient: Tensor) -> Void
  ) {
    var pass = BackwardPass(boundary: boundary)
    pass.collect(from: root)
    if pass.operations.isEmpty { return visit(root, gradient) }
    pass.gradients[ObjectIdentifier(root)] = gradient
    while let node = pass.operations.popLast() { pass.run(node, visit) }
  }

  /// The nodes that gradients are taken by, below `root`, in the order of the program.
  static func ends(below root: GradientNode, boundary: UInt64) -> [GradientNode] {
    var pass = BackwardPass(boundary: boundary)
    pass.collect(from: root)
    var ends: [UInt64: GradientNode] = [:]
    for operation in pass.operations {
      for case let edge? in operation.inputs ?? [] where pass.uses[ObjectIdentifier(edge.node)] != nil {
        ends[edge.node.number] = edge.node
      }
    }
    return ends.sorted { $0.key < $1.key }.map(\.value)
  }

  private init(boundary: UInt64) { self.boundary = boundary }

  /// The operations to run, and how often each of the other nodes is used. Iterative: a graph may be deep.
  private mutating func collect(from root: GradientNode) {
    var seen: Set<ObjectIdentifier> = [ObjectIdentifier(root)]
    var pending = [root]
    while let node = pending.popLast() {
      guard node.number >= boundary, let inputs = node.inputs else { continue }
      operations.append(node)
      for case let edge? in inputs {
        let input = edge.node
        if input.number < boundary || input.isLeaf { uses[ObjectIdentifier(input), default: 0] += 1 }
        if seen.insert(ObjectIdentifier(input)).inserted { pending.append(input) }
      }
    }
    operations.sort { $0.number < $1.number }
  }

  private mutating func run(_ node: GradientNode, _ visit: (GradientNode, Tensor) -> Void) {
    let (edges, results) = gradientsOfInputs(of: node)
    for (index, edge) in edges.enumerated() {
      guard let input = edge?.node else { continue }
      let key = ObjectIdentifier(input)
      if let gradient = results[index] {
        precondition(
          gradient.shape == input.specification.shape,
          "backward: a gradient of \(gradient.specification) for \(input.specification)")
        let gradient = gradient.cast(to: input.specification.dtype)
        if var sum = gradients.removeValue(forKey: key) {
          sum.add(gradient)
          gradients[key] = sum
        } else {
          gradients[key] = gradient
        }
      }
      guard let left = uses[key] else { continue }
      uses[key] = left - 1
      if left == 1, let gradient = gradients.removeValue(forKey: key) { visit(input, gradient) }
    }
  }

  /// Runs a node's own gradient and with that releases what it saved.
  private mutating func gradientsOfInputs(of node: GradientNode) -> ([GradientNode.Edge?], [Tensor?]) {
    guard let (inputs, backward) = node.takeOperation() else {
      preconditionFailure("backward: part of this graph ran backward in another pass")
    }
    for case let edge? in inputs where edge.version != edge.node.version {
      preconditionFailure(
        "backward: a parameter \(edge.node.specification) was changed between the forward and the backward pass")
    }
    guard let gradient = gradients.removeValue(forKey: ObjectIdentifier(node)) else {
      return (inputs, [Tensor?](repeating: nil, count: inputs.count))
    }
    let results = backward(gradient)
    precondition(results.count == inputs.count, "backward: \(results.count) gradients for \(inputs.count) inputs")
    return (inputs, results)
  }
}
