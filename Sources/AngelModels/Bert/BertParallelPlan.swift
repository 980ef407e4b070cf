public import AngelNN

extension BertModel {
  /// Heads and inner features are shared out, so that each block sums twice (arXiv:1909.08053, §3).
  public static var parallelPlan: ParallelPlan {
    ParallelPlan(
      gathering: [],
      tensor: [
        "blocks.*.attention.query.weight": .outputs,
        "blocks.*.attention.key.weight": .outputs,
        "blocks.*.attention.value.weight": .outputs,
        "blocks.*.attention.output.weight": .inputs,
        "blocks.*.feedForward.up.weight": .outputs,
        "blocks.*.feedForward.down.weight": .inputs,
      ])
  }
}
