public import AngelNN

extension LlamaModel {
  /// Heads and inner features are shared out.
  public static var parallelPlan: ParallelPlan { .gatedDecoder() }
}
