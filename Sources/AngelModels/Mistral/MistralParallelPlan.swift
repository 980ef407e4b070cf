public import AngelNN

extension MistralModel {
  /// Heads and inner features are shared out.
  public static var parallelPlan: ParallelPlan { .gatedDecoder() }
}
