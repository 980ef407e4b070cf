import AngelCore

extension Tensor {
  /// `body` of this tensor, of which only this tensor is kept for the backward pass; there `body` runs again
  /// (arXiv:1604.06174).
  ///
  /// `body` must give the same values each time. Trainable tensors that it captures get their gradients as well.
  package func recomputed(by body: @escaping @Sendable (Tensor) -> Tensor) -> Tensor {
    let (result, boundary) = detached.run(body, isTrainable: isTrainable)
    guard let node = result.gradientNode, node.number > boundary.number else { return result }
    // The graph that this run has built goes when this function returns; what it was built from stays.
    let captured = BackwardPass.ends(below: node, boundary: boundary.number).filter { $0 !== boundary }
    let input = detached
    let isTrainable = isTrainable
    return result.detached.recorded(from: [gradientNode] + captured) { gradient in
      let (again, boundary) = input.run(body, isTrainable: isTrainable)
      var gradients: [ObjectIdentifier: Tensor] = [:]
      if let node = again.gradientNode {
        BackwardPass.run(from: node, gradient: gradient, boundary: boundary.number) {
          gradients[ObjectIdentifier($0)] = $1
        }
      }
      return [gradients[ObjectIdentifier(boundary)]] + captured.map { gradients[ObjectIdentifier($0)] }
    }
  }

  /// `body` of this constant, or of a leaf with its values, and a node older than everything `body` makes: that leaf.
  private func run(
    _ body: (Tensor) -> Tensor, isTrainable: Bool
  ) -> (result: Tensor, boundary: GradientNode) {
    let boundary = GradientNode(leaf: specification)
    return (body(isTrainable ? leaf(boundary) : self), boundary)
  }
}
