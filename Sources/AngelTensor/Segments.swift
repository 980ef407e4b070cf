import AngelCore

/// Sequences laid end to end in the rows of a step: where each begins, and where its rows stand in it.
///
/// Rows of one sequence never see those of another; padding is a sequence of its own whose tokens have no weight.
public struct Segments: Sendable {
  /// The first row of each sequence, ascending from 0, and at last the number of rows.
  public let bounds: [Int]
  /// [R] int32: the position of each row in its sequence.
  public let positions: Tensor
  /// [S + 1] int32, `bounds` for the kernels.
  package let boundaries: Tensor

  /// Sequences of the given lengths, each at least 1, one after the other.
  public init(lengths: [Int], on backend: any Backend) {
    precondition(lengths.allSatisfy { $0 > 0 }, "segments: a length below 1 in \(lengths)")
    var bounds = [0]
    for length in lengths { bounds.append(bounds[bounds.count - 1] + length) }
    self.bounds = bounds
    positions = Tensor(lengths.flatMap { (0..<$0).map { Int32($0) } }, on: backend, kind: .workspace)
    boundaries = Tensor(bounds.map { Int32($0) }, on: backend, kind: .workspace)
  }

  /// The number of rows of all sequences.
  public var rowCount: Int { bounds[bounds.count - 1] }

  /// The number of rows of the longest sequence.
  public var longest: Int { zip(bounds, bounds.dropFirst()).reduce(0) { Swift.max($0, $1.1 - $1.0) } }
}
