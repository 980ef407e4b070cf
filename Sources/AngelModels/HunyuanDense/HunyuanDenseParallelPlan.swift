public import AngelNN

extension HunyuanDenseModel {
  /// Heads and inner features are shared out.
  public static var parallelPlan: ParallelPlan { .gatedDecoder() }
}
