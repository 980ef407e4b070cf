public import AngelNN

extension Phi3Model {
  /// Heads and inner features are shared out.
  public static var parallelPlan: ParallelPlan { .gatedDecoder() }
}
