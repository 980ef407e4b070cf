import AngelCore
import AngelTensor

/// Matrices as blocks of a format, by one of the methods.
struct BlockRounding {
  let method: RoundingMethod
  /// GPTQ: what is added to each moment of the diagonal, as a share of it.
  let damping: Double

  /// What rounding needs to know of inputs that are divided by `scales` [K] before they come: made once for the layers that
  /// share them.
  struct Guide {
    /// The mean square of each input, [K].
    fileprivate let importance: Tensor
    /// GPTQ's, for columns in descending importance.
    fileprivate let spreading: (factor: Tensor, order: Tensor)?
  }

  func guide(_ inputs: LayerInputs, scales: [Float]?) throws -> Guide {
    let (width, backend) = (inputs.squares.count, inputs.moments.backend)
    let squares = scales.map { zip(inputs.squares, $0).map { $0 / ($1 * $1) } } ?? inputs.squares
    guard method == .gptq else { return Guide(importance: Tensor(squares, on: backend), spreading: nil) }
    var moments = inputs.moments
    if let scales {
      let divisor = Tensor(scales, on: backend)
      moments = moments / divisor / divisor.reshaped(width, 1)
    }
    let order = Tensor((0..<Int32(width)).sorted { (squares[Int($1)], $0) < (squares[Int($0)], $1) }, on: backend)
    return Guide(
      importance: Tensor(squares, on: backend),
      spreading: (moments.inverseFactor(order: order, damping: damping), order))
  }

  /// Rows [N, K] as blocks; without a guide each value goes to the nearest.
  ///
  /// - Parameter whole: what `values` were before some of them became zero, which stay so: GPTQ makes up for these too.
  func callAsFunction(_ values: Tensor, as format: DType, _ guide: Guide?, whole: Tensor? = nil) -> Tensor {
    guard format.isQuantized else { return values.cast(to: format) }
    guard let guide, method != .nearest else { return values.encodedRows(as: format) }
    return values.fittedRows(
      as: format, importance: guide.importance, spreading: guide.spreading,
      whole: guide.spreading.flatMap { _ in whole })
  }
}
