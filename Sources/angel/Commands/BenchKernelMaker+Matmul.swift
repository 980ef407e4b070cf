import AngelCore
import AngelModels
import AngelNN
import AngelTensor
import CAngelKernels

extension BenchKernelMaker {
  /// Products with every distinct weight shape of a model: one row as in decode, many as in prefill. The output head is
  /// only ever asked for one row.
  func matmuls(_ shape: BenchShape, _ dtype: DType, rows: Int, _ arithmetic: Arithmetic) -> [BenchKernelCase] {
    weights(shape, rows: rows).compactMap { matmul(shape, dtype, rows: rows, $0.columns, $0.depth, arithmetic) }
  }

  private func weights(_ shape: BenchShape, rows: Int) -> [(columns: Int, depth: Int)] {
    let sizes = shape.configuration
    let width = sizes.hiddenSize
    let layer = [
      (sizes.headCount * sizes.headSize, width), (sizes.keyValueHeadCount * sizes.headSize, width),
      (sizes.innerSize, width), (width, sizes.innerSize),
    ]
    return rows == 1 ? layer + [(sizes.vocabularySize, width)] : layer
  }

  /// Nil where the dtype does not fit the shape or the CPU has no kernel.
  private func matmul(
    _ shape: BenchShape, _ dtype: DType, rows: Int, _ columns: Int, _ depth: Int, _ arithmetic: Arithmetic
  ) -> BenchKernelCase? {
    guard let packedBytes = PackedMatrix.byteCount(dtype: dtype, columns: columns, depth: depth),
      packedBytes <= source.byteCount
    else { return nil }
    let inputDType = arithmetic.inputDType(for: dtype)
    let inputBytes = TensorSpecification([rows, depth], inputDType).byteCount
    let work = Work(bytes: packedBytes + inputBytes + 4 * rows * columns, multiplyAdds: rows * columns * depth)
    guard
      let launch = launcher(
        ANGEL_FAMILY_matmul, KernelDTypes(inputDType, dtype), work, angel_matmul_arguments.self)
    else { return nil }
    let (source, input, output) = (source, UnsafeRawPointer(source.next(inputBytes)), output(rows * columns))
    return BenchKernelCase(
      kernel: "matmul", dtype: dtype.name, model: shape.rawValue, shape: "m\(rows) n\(columns) k\(depth)",
      bytes: packedBytes + inputBytes + 4 * rows * columns,
      arithmetic: (2 * rows * columns * depth, Self.arithmetic(inputDType, dtype)),
      run: {
        launch(
          angel_matmul_arguments(
            input: input, weight: UnsafeRawPointer(source.next(packedBytes)), bias: nil, output: output,
            rows: Int64(rows), depth: Int64(depth), columns: Int64(columns), accumulates: 0))
      })
  }

  /// The quickest arithmetic the chip has for a weight that is not quantised any further.
  private static func arithmetic(_ input: DType, _ weight: DType) -> DType {
    if input == .int8Rows { return .int8Rows }
    return weight == .bfloat16 || weight == .bfloat16_2of4 ? .bfloat16 : .float32
  }
}
