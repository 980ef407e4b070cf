public import AngelNN

extension MixtralModel {
  /// Heads and inner features, those of every expert, are shared out; the router is small and everywhere.
  public static var parallelPlan: ParallelPlan { .gatedDecoder(feedForwards: ["feedForward.experts.*"]) }

  /// As in other decoders; experts are left as they are, since nothing watches their inputs.
  public static var foldingPlan: FoldingPlan? { .gatedDecoder }
}
