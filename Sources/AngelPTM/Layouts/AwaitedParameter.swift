import AngelCore
import AngelNN
import AngelTensor

/// A parameter that this process holds whole, of which others may still be sending what they have changed.
// SAFETY: `stream` is used by the trainer's thread, which alone runs passes.
final class AwaitedParameter: PartedValues, @unchecked Sendable {
  private let values: TrainedValues
  private let index: Int
  /// Nil when the trainer has gone, and with it all that was on its way.
  private weak var stream: ParameterStream?

  init(_ values: TrainedValues, _ index: Int, of stream: ParameterStream) {
    (self.values, self.index, self.stream) = (values, index, stream)
  }

  var shape: Shape { values.tensor.shape }

  var readable: Tensor {
    stream?.arrive(index)
    return values.tensor
  }

  func gathered() -> TrainedValues {
    stream?.arrive(index)
    return values
  }
}
