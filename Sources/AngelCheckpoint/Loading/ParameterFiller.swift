public import AngelCore
public import AngelNN
public import AngelTensor

/// Fills a model's parameters with random weights of a dtype, without a file: for measuring the speed of a shape.
///
/// Matrices get values of deviation 1 / √inputs, so that activations keep their size through any number of layers; norms
/// get ones, biases zeros. A model filled twice is the same.
public struct ParameterFiller {
  let dtype: DType
  let backend: any Backend
  let arithmetic: Arithmetic
  /// Called after each parameter with how many are filled and how many there are.
  let report: (_ filled: Int, _ count: Int) -> Void

  /// A filler with weights held as `dtype`, one that has a packed form.
  public init(
    dtype: DType, on backend: any Backend, arithmetic: Arithmetic,
    report: @escaping (_ filled: Int, _ count: Int) -> Void = { _, _ in }
  ) {
    self.dtype = dtype
    self.backend = backend
    self.arithmetic = arithmetic
    self.report = report
  }

  /// Gives every parameter of `model` a value; throws before any when the dtype does not fit a matrix.
  public func fill(_ model: inout some Module) throws {
    let shapes = model.parameterShapes()
    for (path, parameter) in shapes where parameter.role == .matrix { try check(parameter.shape, path) }
    var index = 0
    try model.visitParameters { path, parameter in
      switch parameter.role {
      case .vector:
        let value: Float = path.hasSuffix("bias") ? 0 : 1
        parameter.value = .vector(
          Tensor(
            [Float](repeating: value, count: parameter.shape.elementCount), shape: parameter.shape, on: backend,
            kind: .weights))
      case .matrix:
        let packed = try matrix(parameter.shape, dtype, stream: UInt64(index))
        parameter.value = .matrix(arithmetic == .bf16 ? packed.converted(to: .bfloat16) : packed, arithmetic)
      case .exactMatrix:
        parameter.value = .matrix(try matrix(parameter.shape, .float32, stream: UInt64(index)), .f32)
      }
      index += 1
      report(index, shapes.count)
    }
    try backend.synchronize()
  }

  private func check(_ shape: Shape, _ path: String) throws(CheckpointError) {
    guard PackedMatrix.byteCount(dtype: dtype, columns: shape[0], depth: shape[1]) == nil else { return }
    throw .unsupportedTensor(
      name: path, type: "\(dtype.name) \(shape)", path: "random weights",
      supported: DType.allCases.filter { PackedMatrix.byteCount(dtype: $0, columns: shape[0], depth: shape[1]) != nil }
        .map(\.name))
  }

  /// A few random rows in a random order: as good as all different for speed, without a second copy of the matrix.
  private func matrix(_ shape: Shape, _ dtype: DType, stream: UInt64) throws -> PackedMatrix {
    let (columns, depth) = (shape[0], shape[1])
    let count = min(columns, 64)
    let rows = RandomRows(
      count: count, depth: depth, dtype: dtype, deviation: 1 / Float(depth).squareRoot(), stream: stream)
    let generator = PhiloxGenerator(seed: 1, stream: stream)
    let order = (0..<columns).map { Int32(generator.word(at: UInt64($0)) % UInt32(count)) }
    return try rows.bytes.withUnsafeBytes { bytes in
      let packed = PackedMatrix(
        rows: bytes, dtype: dtype, columns: columns, depth: depth, rowOrder: order, on: backend)
      try backend.synchronize()
      return packed
    }
  }
}
