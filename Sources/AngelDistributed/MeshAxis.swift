/// A direction in which work is shared out.
public enum MeshAxis: String, CaseIterable, Sendable {
  /// Processes that see different rows and hold the same values, or shares of them.
  case data
  /// Processes that share out the layers' heads and inner features.
  case tensor
  /// Processes that hold different layers.
  case pipeline
  /// Processes that share out the positions of a sequence.
  case sequence
  /// Processes that hold different experts.
  case expert
}
