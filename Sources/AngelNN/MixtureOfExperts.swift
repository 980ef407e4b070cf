import AngelCore
public import AngelTensor

/// A feed-forward layer of which each token uses a few parts (arXiv:1701.06538; top-k of a softmax as arXiv:2401.04088, §2.1).
///
/// y = shared(x) + Σ w_e · expert_e(x) over the K experts with the largest softmax(router(x)), in float32. Nothing is
/// dropped, whatever the load (dropless, arXiv:2211.15841): the rows of a step are grouped by expert, each group is one
/// product, and a row sums its experts best first. Which experts those are is decided on the device and read there, so a
/// step can be recorded; and a token's result does not depend on the tokens beside it. Gradients reach the experts that a
/// token chose, and through their weights the router; that a choice was made has none (`ForwardContext.routers` balances it).
public struct MixtureOfExperts: Module {
  /// The sizes of one such layer.
  public struct Shape: Codable, Hashable, Sendable {
    /// Experts to choose from (E).
    public var expertCount: Int
    /// Experts that each token uses (K).
    public var expertsPerToken: Int
    /// Width inside an expert.
    public var innerSize: Int
    /// Width inside the part that every token uses; 0 for none.
    public var sharedInnerSize = 0
    /// Whether the weights of a token's experts are divided by their sum.
    public var normalizesWeights = true

    public init(
      expertCount: Int, expertsPerToken: Int, innerSize: Int, sharedInnerSize: Int = 0, normalizesWeights: Bool = true
    ) {
      self.expertCount = expertCount
      self.expertsPerToken = expertsPerToken
      self.innerSize = innerSize
      self.sharedInnerSize = sharedInnerSize
      self.normalizesWeights = normalizesWeights
    }
  }

  var router: Linear
  var experts: [GatedFeedForward]
  /// Nil where every token uses its own experts alone.
  var shared: GatedFeedForward?
  private let sizes: Shape

  public init(_ width: Int, _ sizes: Shape) {
    router = Linear(width, sizes.expertCount, role: .exactMatrix)
    let share = Double(sizes.expertsPerToken) / Double(sizes.expertCount)
    experts = (0..<sizes.expertCount).map { _ in GatedFeedForward(width, inner: sizes.innerSize, tokenShare: share) }
    shared = sizes.sharedInnerSize == 0 ? nil : GatedFeedForward(width, inner: sizes.sharedInnerSize)
    self.sizes = sizes
  }

  /// [R, width] → [R, width]; where experts are shared out, this process's rows of that
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let scores = router(x)  // [R, E]
    let routing = scores.softmax().routed(toBest: sizes.expertsPerToken, normalizing: sizes.normalizesWeights)
    let order = routing.order(expertCount: experts.count)
    let (gate, up, down) = (
      ExpertLinear(experts.map(\.gate)), ExpertLinear(experts.map(\.up)), ExpertLinear(experts.map(\.down))
    )
    let rows = gate.grouped(x, order)  // [R * K, D]
    let rowsForUp = up.rows == gate.rows ? rows : up.grouped(x, order)
    let inner = swiGLU(gate: gate(rows, order), up: up(rowsForUp, order))  // [R * K, F]
    var chosen = down(inner, order).summed(routing, order)  // [R, D]
    // Summed once a row, not once for each of its experts.
    if let peers = experts[0].down.peers { chosen = peers.scattered(chosen) }
    let result = shared.map { chosen + $0(x) } ?? chosen
    return context.routers?.watch(result, scores: scores, order, router: router.weight) ?? result
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("router", &router)
    visitor.visit("experts", &experts)
    visitor.visit("shared", &shared)
  }
}
