import AngelCore
import CAngelKernels
import Glibc

/// One step of Adafactor (arXiv:1804.04235, algorithms 4 and 5, with relative step sizes), as PyTorch states it: the
/// second moment of a matrix is the product of a row's and a column's.
public struct AdafactorStep: Sendable {
  /// Multiplies every gradient first.
  public var gradientScale: Float = 1
  public var learningRate: Float
  public var weightDecay: Float
  /// Steps taken, this one included.
  public var count: Int

  public init(learningRate: Float, weightDecay: Float, count: Int) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.count = count
  }

  /// The second moments decay as 1 - t^-0.8 (§7.2).
  private static let decayExponent = -0.8
  /// The least second moment, squared, and the least scale of a parameter (algorithm 5).
  private static let floors = (moment: Double(Float.ulpOfOne), scale: 1e-3)

  /// Changes `values` and the moments in place: `rows` [R] and `columns` [C] of a matrix; `rows` nil for a vector.
  public func apply(
    to values: TrainedValues, gradient: Tensor, rows: OptimizerState?, columns: OptimizerState
  ) throws(BackendError) {
    let count = Double(values.tensor.shape.elementCount)
    let scale = try max(Self.floors.scale, values.values.norm() / count.squareRoot())
    let alpha = scale * min(Double(learningRate), 1 / Double(self.count).squareRoot())
    let direction = try direction(of: gradient, rows, columns)
    let rate = Float(alpha / max(1, try direction.norm() / count.squareRoot()))
    let decay = rate > 0 ? learningRate * weightDecay / rate : 0
    SGDStep(learningRate: rate, weightDecay: decay, momentum: 0).apply(to: values, gradient: direction, velocity: nil)
  }

  /// The gradient by the root of its second moment, which takes the gradient in first.
  private func direction(
    of gradient: Tensor, _ rows: OptimizerState?, _ columns: OptimizerState
  ) throws(BackendError) -> Tensor {
    let share = Float(1 - pow(Double(count), Self.decayExponent))
    let matrix = rows == nil ? gradient.reshaped(1, -1) : gradient
    let squares = (matrix * Double(gradientScale)).squared()
    let (height, width) = (matrix.shape[0], matrix.shape[1])
    var (row, mean) = (matrix.constant(1).reshaped(1), 1.0)
    if let rows {
      rows.follow(squares.sum(over: 1).reshaped(-1) / Double(width), decay: share)
      row = rows.tensor
      mean = 0
      for value in try row.read(as: Float.self) { mean += Double(value) / Double(height) }
      mean = max(mean, Self.floors.moment)
    }
    columns.follow(squares.columnSums() / Double(height), decay: share)
    let direction = Tensor(uninitialized: gradient.specification, on: gradient.backend, kind: .workspace)
    let arguments = angel_adafactor_arguments(
      gradient: matrix.floats, row: row.floats, column: columns.tensor.floats, direction: direction.mutableFloats,
      rows: Int64(height), columns: Int64(width), gradient_scale: gradientScale, scale: Float(1 / mean),
      floor: Float(Self.floors.moment * Self.floors.moment))
    gradient.backend.launch(
      ANGEL_FAMILY_adafactor, KernelDTypes(gradient.dtype), arguments,
      Work(bytes: 3 * gradient.specification.byteCount),
      keeping: matrix, row, columns)
    return direction
  }
}
