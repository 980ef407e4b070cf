public import AngelCore
import AngelTensor

extension Module {
  /// Leaves of every parameter that `plan` splits the part of this process, and lets layers work with `peers`; every process
  /// does it with the same values. The embedding and the output head stay whole and see this process's rows.
  ///
  /// - Returns: for each parameter that was split the axis along which it was.
  public mutating func shareOut(_ plan: ParallelPlan, among peers: any LayerPeers) -> [String: Int] {
    var visitor = SharingVisitor(plan: plan, peers: peers)
    visitChildren(&visitor)
    return visitor.axes
  }

  /// The parameters that `plan` splits and cannot split evenly `count` times, with the axis.
  public func indivisible(by count: Int, _ plan: ParallelPlan) -> [(path: String, shape: Shape, axis: Int)] {
    parameterShapes().compactMap { path, parameter in
      guard let axis = plan.axis(of: path), parameter.shape[axis] % count != 0 else { return nil }
      return (path, parameter.shape, axis)
    }
  }
}

extension ParallelPlan {
  /// The axis along which the parameter at `path` is split; nil where it stays whole.
  package func axis(of path: String) -> Int? {
    // A bias goes with the outputs of its layer.
    if path.hasSuffix(".bias") { return split(of: path.dropLast(4) + "weight") == .outputs ? 0 : nil }
    return switch split(of: path) {
    case .replicated: nil
    case .outputs: 0
    case .inputs: 1
    }
  }
}

private struct SharingVisitor: ParameterVisitor {
  let plan: ParallelPlan
  let peers: any LayerPeers
  var axes: [String: Int] = [:]
  var path: [String] = []

  init(plan: ParallelPlan, peers: any LayerPeers) {
    self.plan = plan
    self.peers = peers
  }

  mutating func visit(_ name: String, _ module: inout some Module) {
    path.append(name)
    module.visitChildren(&self)
    path.removeLast()
    let path = path(to: name)
    if var layer = module as? Linear {
      layer.peers = axes[path + ".weight"] == 1 ? peers : nil
      module = Self.cast(layer, like: module)
    } else if var norm = module as? RMSNorm {
      norm.peers = plan.gathers(path) ? peers : nil
      module = Self.cast(norm, like: module)
    } else if var norm = module as? LayerNorm {
      norm.peers = plan.gathers(path) ? peers : nil
      module = Self.cast(norm, like: module)
    } else if var embedding = module as? Embedding {
      embedding.peers = peers
      module = Self.cast(embedding, like: module)
    }
  }

  mutating func visit(_ name: String, _ parameter: inout Parameter) {
    let path = path(to: name)
    guard let axis = plan.axis(of: path) else { return }
    parameter = parameter.part(peers.place, of: peers.count, axis: axis)
    axes[path] = axis
  }
}

extension Parameter {
  /// An even part of the values along an axis, in memory of its own.
  fileprivate func part(_ place: Int, of count: Int, axis: Int) -> Parameter {
    precondition(shape[axis] % count == 0, "a parameter of shape \(shape) has no \(count) parts along axis \(axis)")
    let size = shape[axis] / count
    let range = (place * size)..<((place + 1) * size)
    func cut(_ values: Tensor) -> Tensor {
      axis == 0
        ? values.prefix(range).copied(to: .weights)
        : values.permuted(1, 0).prefix(range).permuted(1, 0).copied(to: .weights)
    }
    var sizes = shape
    sizes[axis] = size
    let result = Parameter(sizes, role, tokenShare: tokenShare)
    result.compute(in: computing)
    switch value {
    case .absent: break
    case .vector(let tensor): result.value = .vector(cut(tensor))
    case .matrix(let matrix, let arithmetic):
      let values = cut(matrix.dequantized())
      result.value = .matrix(PackedMatrix(values, as: matrix.dtype == .bfloat16 ? .bfloat16 : .float32), arithmetic)
    case .trained, .halved, .parted:
      if let values = trainedValues?.values { result.value = .trained(cut(values)) }
    }
    return result
  }
}
