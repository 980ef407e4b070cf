import AngelCheckpoint
import AngelCore
import AngelNN
import AngelTensor

/// A tensor of a file: the parameters that share it, in the order of their rows, and how the file holds them.
struct StoredTensor {
  private var parts: [(row: Int, parameter: Parameter)] = []
  private let form: StoredForm

  init(_ form: StoredForm) { self.form = form }

  mutating func add(_ parameter: Parameter, as form: StoredForm) {
    parts.append((form.rowTotal == nil ? form.share : form.firstRow, parameter))
    parts.sort { $0.row < $1.row }
  }

  /// The shape in the file.
  var shape: Shape {
    var sizes = parts[0].parameter.shape.array
    if parts.count > 1 { sizes[0] = parts.reduce(0) { $0 + $1.parameter.shape[0] } }
    return Shape(form.isTransposed ? sizes.reversed() : sizes)
  }

  /// Gives `write` the values as the file holds them, piece by piece.
  func write(as dtype: DType, _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
    guard form.isTransposed else {
      for part in parts { try adjusted(part.parameter.values).cast(to: dtype).withHostBytes(write) }
      return
    }
    // Rows of all parts alternate in the file; such parts are of one shape.
    var whole = parts[0].parameter.values
    if parts.count > 1 { whole = Tensor.stacked(parts.map(\.parameter.values)).reshaped(shape.array.reversed()) }
    try adjusted(whole.permuted(1, 0)).cast(to: dtype).withHostBytes(write)
  }

  private func adjusted(_ values: Tensor) -> Tensor { form.offset == 0 ? values : values - Double(form.offset) }
}

extension Parameter {
  /// The dense values in float32, trained or constant.
  fileprivate var values: Tensor {
    if case .matrix(let matrix, _) = value { return matrix.dequantized() }
    return trainedValues?.values ?? vector
  }
}
