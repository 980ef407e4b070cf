public import AngelCore
public import AngelTensor

/// Trained values of which each process holds a share.
///
/// Putting them together is a collective: every process asks for the same parameters in the same order, which a forward pass
/// does by itself. What was put together lives as long as someone uses it: with recomputed layers, as long as its layer runs.
public protocol PartedValues: AnyObject, Sendable {
  /// The shape of the whole.
  var shape: Shape { get }
  /// What products read of the whole: the float32 values, or those rounded to bfloat16.
  var readable: Tensor { get }
  /// The whole. A failure is kept for whoever ends the step; the values are then anything.
  func gathered() -> TrainedValues
}
