public import AngelNN

extension Olmo2Model {
  /// Heads and inner features could be shared out as in other gated decoders, but for the norms of queries and keys, which run
  /// over all heads: a share of them has to sum squares with the others. Until it does, the family is not.
  public static var parallelPlan: ParallelPlan {
    var plan = ParallelPlan.gatedDecoder()
    plan.gathering = []
    return plan
  }
}
