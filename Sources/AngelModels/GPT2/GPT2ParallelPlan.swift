public import AngelNN

extension GPT2Model {
  /// Heads and inner features are shared out, so that each block sums twice: after attention and after the feed-forward
  /// layer (arXiv:1909.08053, §3).
  public static var parallelPlan: ParallelPlan {
    ParallelPlan(
      gathering: ["blocks.*.attentionNorm", "blocks.*.feedForwardNorm"],
      tensor: [
        "blocks.*.attention.query.weight": .outputs,
        "blocks.*.attention.key.weight": .outputs,
        "blocks.*.attention.value.weight": .outputs,
        "blocks.*.attention.output.weight": .inputs,
        "blocks.*.feedForward.up.weight": .outputs,
        "blocks.*.feedForward.down.weight": .inputs,
      ])
  }

  /// Norms and values can be scaled.
  public static var foldingPlan: FoldingPlan? { .decoder }
}
