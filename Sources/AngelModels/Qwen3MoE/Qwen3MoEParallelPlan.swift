public import AngelNN

extension Qwen3MoEModel {
  /// As in dense Qwen3; every expert is shared out over the devices, the router is small and everywhere.
  public static var parallelPlan: ParallelPlan {
    ParallelPlan(
      gathering: ["blocks.*.attentionNorm", "blocks.*.feedForwardNorm"],
      tensor: [
        "blocks.*.attention.query.weight": .outputs,
        "blocks.*.attention.key.weight": .outputs,
        "blocks.*.attention.value.weight": .outputs,
        "blocks.*.attention.output.weight": .inputs,
        "blocks.*.feedForward.gate.weight": .outputs,
        "blocks.*.feedForward.up.weight": .outputs,
        "blocks.*.feedForward.down.weight": .inputs,
        "blocks.*.feedForward.experts.*.gate.weight": .outputs,
        "blocks.*.feedForward.experts.*.up.weight": .outputs,
        "blocks.*.feedForward.experts.*.down.weight": .inputs,
      ])
  }
}
