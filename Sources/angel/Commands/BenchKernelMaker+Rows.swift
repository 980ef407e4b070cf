import AngelCore
import AngelModels
import AngelTensor
import CAngelKernels

/// The kernels that work row by row: memory alone bounds them.
extension BenchKernelMaker {
  func rowKernels(_ shape: BenchShape, rows: Int) -> [BenchKernelCase] {
    [
      rmsNorm(shape, rows), quantizeRows(shape, rows), rotary(shape, rows), swiGLU(shape, rows), softmax(shape, rows),
    ].compactMap(\.self)
  }

  private func rowCase(
    _ kernel: String, _ shape: BenchShape, _ sizes: String, dtype: DType = .float32, bytes: Int,
    _ run: (() -> Void)?
  ) -> BenchKernelCase? {
    run.map {
      BenchKernelCase(kernel: kernel, dtype: dtype.name, model: shape.rawValue, shape: sizes, bytes: bytes, run: $0)
    }
  }

  private func rmsNorm(_ shape: BenchShape, _ rows: Int) -> BenchKernelCase? {
    let width = shape.configuration.hiddenSize
    let (bytes, weight) = (8 * rows * width + 4 * width, floats(width))
    let launch = launcher(
      ANGEL_FAMILY_rmsnorm, KernelDTypes(.float32), Work(bytes: bytes), angel_rmsnorm_arguments.self)
    return rowCase(
      "rmsnorm", shape, "\(rows) x \(width)", bytes: bytes,
      launch.map { launch in
        {
          launch(
            angel_rmsnorm_arguments(
              input: floats(rows * width), weight: weight, output: output(rows * width), rows: Int64(rows),
              width: Int64(width), epsilon: 1e-5))
        }
      })
  }

  private func quantizeRows(_ shape: BenchShape, _ rows: Int) -> BenchKernelCase? {
    let width = shape.configuration.hiddenSize
    let outputBytes = TensorSpecification([rows, width], .int8Rows).byteCount
    let bytes = 4 * rows * width + outputBytes
    let launch = launcher(
      ANGEL_FAMILY_quantize_rows, KernelDTypes(.float32, .int8Rows), Work(bytes: bytes),
      angel_quantize_rows_arguments.self)
    return rowCase(
      "quantize_rows", shape, "\(rows) x \(width)", dtype: .int8Rows, bytes: bytes,
      launch.map { launch in
        {
          launch(
            angel_quantize_rows_arguments(
              input: floats(rows * width), output: target.next(outputBytes), rows: Int64(rows), depth: Int64(width)))
        }
      })
  }

  private func rotary(_ shape: BenchShape, _ rows: Int) -> BenchKernelCase? {
    let (heads, size) = (shape.configuration.headCount, shape.configuration.headSize)
    let (elements, table) = (rows * heads * size, floats(rows * size))
    let bytes = 8 * elements + 4 * rows * size
    let launch = launcher(
      ANGEL_FAMILY_rotary, KernelDTypes(.float32), Work(bytes: bytes), angel_rotary_arguments.self)
    return rowCase(
      "rotary", shape, "\(rows) x \(heads) x \(size)", bytes: bytes,
      launch.map { launch in
        {
          launch(
            angel_rotary_arguments(
              input: floats(elements), table: table, output: output(elements), rows: Int64(rows), heads: Int64(heads),
              head_size: Int64(size), rotated: Int64(size)))
        }
      })
  }

  private func swiGLU(_ shape: BenchShape, _ rows: Int) -> BenchKernelCase? {
    let width = shape.configuration.innerSize
    let count = rows * width
    let launch = launcher(
      ANGEL_FAMILY_swiglu, KernelDTypes(.float32), Work(bytes: 12 * count, multiplyAdds: 64 * count),
      angel_swiglu_arguments.self)
    return rowCase(
      "swiglu", shape, "\(rows) x \(width)", bytes: 12 * count,
      launch.map { launch in
        {
          launch(
            angel_swiglu_arguments(gate: floats(count), up: floats(count), output: output(count), count: Int64(count)))
        }
      })
  }

  private func softmax(_ shape: BenchShape, _ rows: Int) -> BenchKernelCase? {
    // What a router or a sampler on the device would ask for; attention has its own.
    let width = 4096
    let bytes = 8 * rows * width
    let launch = launcher(
      ANGEL_FAMILY_softmax, KernelDTypes(.float32), Work(bytes: bytes), angel_softmax_arguments.self)
    return rowCase(
      "softmax", shape, "\(rows) x \(width)", bytes: bytes,
      launch.map { launch in
        {
          launch(
            angel_softmax_arguments(
              input: UnsafeRawPointer(floats(rows * width)), output: UnsafeMutableRawPointer(output(rows * width)),
              rows: Int64(rows), width: Int64(width)))
        }
      })
  }

  /// Rows of a packed weight for random tokens.
  func embedding(_ shape: BenchShape, _ dtype: DType, rows: Int) -> BenchKernelCase? {
    let (columns, depth) = (shape.configuration.vocabularySize, shape.configuration.hiddenSize)
    guard let packedBytes = PackedMatrix.byteCount(dtype: dtype, columns: columns, depth: depth),
      packedBytes <= source.byteCount
    else { return nil }
    let bytes = rows * (dtype.byteCount(of: depth) + 4 * depth)
    guard
      let launch = launcher(
        ANGEL_FAMILY_embedding, KernelDTypes(dtype), Work(bytes: 4 * rows * depth), angel_embedding_arguments.self)
    else { return nil }
    let generator = PhiloxGenerator(seed: 0)
    let tokens = (0..<rows).map { Int32(generator.word(at: UInt64($0)) % UInt32(columns)) }
    let (source, maker) = (source, self)
    return BenchKernelCase(
      kernel: "embedding", dtype: dtype.name, model: shape.rawValue, shape: "\(rows) x \(depth)", bytes: bytes,
      run: {
        tokens.withUnsafeBufferPointer { tokens in
          launch(
            angel_embedding_arguments(
              tokens: tokens.baseAddress, weight: UnsafeRawPointer(source.next(packedBytes)),
              output: maker.output(rows * depth), rows: Int64(rows), columns: Int64(columns), depth: Int64(depth)))
        }
      })
  }
}
