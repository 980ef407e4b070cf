public import AngelNN

extension Qwen3MoEModel {
  /// Heads and inner features, those of dense layers and of every expert, are shared
  /// out; the router is small and everywhere.
  public static var parallelPlan: ParallelPlan {
    .gatedDecoder(feedForwards: ["feedForward", "feedForward.experts.*"])
  }

  /// As in other decoders; experts are left as they are, since nothing watches their inputs.
  public static var foldingPlan: FoldingPlan? { .gatedDecoder }
}
