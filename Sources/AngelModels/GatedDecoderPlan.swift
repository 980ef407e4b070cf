import AngelNN

extension ParallelPlan {
  /// The plan of decoders with gated feed-forward layers: heads and inner features are shared out, so that each block sums
  /// twice, after attention and after the feed-forward layer (arXiv:1909.08053, §3).
  ///
  /// - Parameter feedForwards: the gated layers of a block: experts' among them, whose router is small and everywhere.
  static func gatedDecoder(feedForwards: [String] = ["feedForward"]) -> ParallelPlan {
    var plan = ParallelPlan(
      gathering: ["blocks.*.attentionNorm", "blocks.*.feedForwardNorm"],
      tensor: [
        "blocks.*.attention.query.weight": .outputs,
        "blocks.*.attention.key.weight": .outputs,
        "blocks.*.attention.value.weight": .outputs,
        "blocks.*.attention.output.weight": .inputs,
      ])
    for layer in feedForwards {
      plan.tensor["blocks.*.\(layer).gate.weight"] = .outputs
      plan.tensor["blocks.*.\(layer).up.weight"] = .outputs
      plan.tensor["blocks.*.\(layer).down.weight"] = .inputs
    }
    return plan
  }
}
