public import AngelNN

extension HunyuanMoEModel {
  /// Heads and inner features, those of every expert too, are shared out over the devices (arXiv:1909.08053, §3); the
  /// router is small and everywhere.
  public static var parallelPlan: ParallelPlan {
    ParallelPlan(
      gathering: ["blocks.*.attentionNorm", "blocks.*.feedForwardNorm"],
      tensor: [
        "blocks.*.attention.query.weight": .outputs,
        "blocks.*.attention.key.weight": .outputs,
        "blocks.*.attention.value.weight": .outputs,
        "blocks.*.attention.output.weight": .inputs,
        "blocks.*.feedForward.shared.gate.weight": .outputs,
        "blocks.*.feedForward.shared.up.weight": .outputs,
        "blocks.*.feedForward.shared.down.weight": .inputs,
        "blocks.*.feedForward.experts.*.gate.weight": .outputs,
        "blocks.*.feedForward.experts.*.up.weight": .outputs,
        "blocks.*.feedForward.experts.*.down.weight": .inputs,
      ])
  }
}
