public import AngelNN

extension SmolLM3Model {
  /// Heads and inner features are shared out.
  public static var parallelPlan: ParallelPlan { .gatedDecoder() }

  /// Norms, values and inner features can be scaled.
  public static var foldingPlan: FoldingPlan? { .gatedDecoder }
}
