import AngelCPU
import AngelCore
import AngelNN
import AngelTensor
import Testing

@Suite("Linear layers")
struct LinearTests {
  /// Sixteen equal rows of ones.
  private func layer(_ dtype: DType, _ arithmetic: Arithmetic, depth: Int, on backend: CPUBackend) throws -> Linear {
    let ones = Tensor([Float](repeating: 1, count: 16 * depth), on: backend).reshaped(16, depth)
    let rows = ones.cast(to: dtype)
    let bytes = UnsafeRawBufferPointer(start: rows.address, count: rows.specification.byteCount)
    let matrix = withExtendedLifetime(rows) {
      PackedMatrix(rows: bytes, dtype: dtype, columns: 16, depth: depth, on: backend)
    }
    try backend.synchronize()
    let layer = Linear(depth, 16)
    layer.weight.value = .matrix(matrix, arithmetic)
    return layer
  }

  @Test(
    "activations are rounded to bfloat16 against bfloat16 weights alone, and in float32 arithmetic never",
    arguments: [
      (DType.bfloat16, Arithmetic.fast, true), (.bfloat16, .bf16, true), (.bfloat16, .f32, false),
      (.float16, .fast, false), (.float32, .fast, false),
    ])
  func rounding(_ dtype: DType, _ arithmetic: Arithmetic, isRounded: Bool) throws {
    let backend = try CPUBackend(threadCount: 2)
    // 1 + 2^-8 rounds to 1; its sum of three is exact in float32.
    for depth in [3, 64] {
      let layer = try self.layer(dtype, arithmetic, depth: depth, on: backend)
      let x = Tensor([Float](repeating: 1.00390625, count: 7 * depth), on: backend).reshaped(7, depth)
      let expected = Float(depth) * (isRounded ? 1 : 1.00390625)
      #expect(try layer(x).read() == [Float](repeating: expected, count: 7 * 16))
      // The same activations against another dtype: each form is remembered on its own.
      let exact = try self.layer(.float16, .fast, depth: depth, on: backend)
      #expect(try exact(x).read() == [Float](repeating: Float(depth) * 1.00390625, count: 7 * 16))
    }
  }
}
