import AngelCore
import CAngelKernels

/// The experts that each row goes to, and how much each of them counts.
public struct Routing: Sendable {
  /// [R, K] int32, the best expert first.
  public let experts: Tensor
  /// [R, K] float32.
  public let weights: Tensor
}

/// The rows of a step grouped by expert. A slot is one expert of one row; a place is where its row stands in the groups.
public struct ExpertOrder: Sendable {
  /// [E + 1] int32: expert `e` has places `offsets[e] ..< offsets[e + 1]`; the differences are the experts' load.
  public let offsets: Tensor
  /// [R * K] int32: the row of each place.
  public let rows: Tensor
  /// [R * K] int32: the expert of each place, ascending.
  public let experts: Tensor
  /// [R, K] int32: the place of each slot.
  public let places: Tensor
}

extension Tensor {
  /// The `count` most probable experts of each row; rows are scores over all experts, [R, E], a softmax or sigmoids.
  ///
  /// Equal scores: the lower index first. `normalizing` divides the weights of a row by their sum. A primitive with two
  /// results (route.h); every arithmetic backend has its kernel. Gradients reach the scores that were chosen; which are has
  /// none. In float64 experts are chosen by the scores rounded to float32.
  public func routed(toBest count: Int, normalizing: Bool) -> Routing {
    precondition(
      (dtype == .float32 || dtype == .float64) && shape.rank == 2 && (1...Swift.max(1, shape[1])).contains(count),
      "route: \(count) experts of \(specification)")
    if dtype == .float64 {
      let experts = detached.cast(to: .float32).routed(toBest: count, normalizing: normalizing).experts
      return Routing(experts: experts, weights: weights(of: experts, normalizing: normalizing))
    }
    let experts = Tensor(uninitialized: TensorSpecification([shape[0], count], .int32), on: backend)
    let weights = Tensor(uninitialized: TensorSpecification([shape[0], count], .float32), on: backend)
    let arguments = angel_route_arguments(
      probabilities: floats, experts: experts.mutableInt32s, weights: weights.mutableFloats, rows: Int64(shape[0]),
      choices: Int64(shape[1]), count: Int64(count), normalizes: normalizing ? 1 : 0)
    backend.launch(
      ANGEL_FAMILY_route, KernelDTypes(dtype), arguments, Work(bytes: specification.byteCount * 4), keeping: self)
    let scores = detached
    return Routing(
      experts: experts,
      weights: weights.recorded(from: [self]) { _ in
        { [scores.routeGradient($0, experts, weights, normalizing: normalizing)] }
      })
  }

  /// The gradient of chosen weights by all scores (route.h).
  private func routeGradient(_ gradient: Tensor, _ experts: Tensor, _ weights: Tensor, normalizing: Bool) -> Tensor {
    guard backend.kernel(ANGEL_FAMILY_route_backward, KernelDTypes(dtype)) != nil else {
      let scores = asLeaf()
      let gradients = scores.weights(of: experts, normalizing: normalizing).gradients(weightedBy: gradient)
      return gradients[scores] ?? self * 0
    }
    let result = Tensor(uninitialized: specification, on: backend)
    let arguments = angel_route_backward_arguments(
      probabilities: floats, experts: experts.int32s, weights: weights.floats, weight_gradient: gradient.floats,
      gradient: result.mutableFloats, rows: Int64(shape[0]), choices: Int64(shape[1]), count: Int64(experts.shape[1]),
      normalizes: normalizing ? 1 : 0)
    backend.launch(
      ANGEL_FAMILY_route_backward, KernelDTypes(dtype), arguments, Work(bytes: specification.byteCount * 2),
      keeping: self, experts, weights, gradient)
    return result
  }

  /// The weights in other operations.
  private func weights(of experts: Tensor, normalizing: Bool) -> Tensor {
    let starts = Tensor((0..<shape[0]).map { Double($0 * shape[1]) }, shape: [shape[0], 1], on: backend)
    let places = (experts.cast(to: .float64) + starts).cast(to: .int32).reshaped(-1)
    let chosen = reshaped(-1, 1).rows(places).reshaped(experts.shape.array)
    return normalizing ? chosen / chosen.sum(over: 1) : chosen
  }

  var mutableInt32s: UnsafeMutablePointer<Int32> { address.assumingMemoryBound(to: Int32.self) }
}

extension Routing {
  /// The rows grouped by expert, `expertCount` groups: a primitive with four results (expert_order.h).
  public func order(expertCount: Int) -> ExpertOrder {
    let (rows, count) = (experts.shape[0], experts.shape[1])
    func integers(_ shape: Shape) -> Tensor {
      Tensor(uninitialized: TensorSpecification(shape, .int32), on: experts.backend)
    }
    let order = ExpertOrder(
      offsets: integers([expertCount + 1]), rows: integers([rows * count]), experts: integers([rows * count]),
      places: integers([rows, count]))
    let arguments = angel_expert_order_arguments(
      experts: experts.int32s, offsets: order.offsets.mutableInt32s, rows: order.rows.mutableInt32s,
      sorted: order.experts.mutableInt32s, places: order.places.mutableInt32s, slots: Int64(rows * count),
      count: Int64(count), choices: Int64(expertCount))
    experts.backend.launch(
      ANGEL_FAMILY_expert_order, KernelDTypes(experts.dtype), arguments,
      Work(bytes: 5 * experts.specification.byteCount), keeping: experts)
    return order
  }
}
