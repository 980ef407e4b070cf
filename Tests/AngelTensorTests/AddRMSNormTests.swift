import AngelCPU
import AngelCore
import AngelTensor
import CAngelKernels
import Testing

@Suite("add_rmsnorm")
struct AddRMSNormTests {
  static let sizes = [(1, 1), (3, 7), (1, 16), (5, 33), (2, 576), (32, 1000)]

  @Test("both results are the bits of + followed by rmsNormalized", arguments: sizes)
  func composed(rows: Int, width: Int) throws {
    let backend = try TestBackend.make()
    let (x, update) = (backend.random([rows, width], seed: 1), backend.random([rows, width], seed: 2, scale: 3))
    let weight = backend.random([width], seed: 3)
    let operation = AddRMSNormalization(epsilon: 1e-5)
    let (got, want) = (operation(x, update, weight: weight), operation.composed(x, update, weight: weight))
    #expect(got.sum.shape == [rows, width] && got.normalized.shape == [rows, width])
    #expect(try got.sum.read(as: Float.self) == want.sum.read())
    #expect(try got.normalized.read(as: Float.self) == want.normalized.read())
  }

  @Test("the normalised sum is the definition in float64", arguments: sizes)
  func definition(rows: Int, width: Int) throws {
    let backend = try TestBackend.make()
    let inputs = (1...2).map { backend.random([rows, width], seed: $0) }
    let weight = backend.random([width], seed: 3)
    let got: [Float] = try inputs[0].adding(inputs[1], normalizedBy: weight, epsilon: 1e-5).normalized.read()
    // No kernel in float64: the composed form runs, and inside it that of rmsnorm.
    let wide = inputs.map { $0.cast(to: .float64) }
    let want = wide[0].adding(wide[1], normalizedBy: weight.cast(to: .float64), epsilon: 1e-5)
    #expect(normalizedError(got.map(Double.init), try want.normalized.read()) < 2e-6)
  }

  @Test("every instruction set, number of parts and number of rows gives the same bits")
  func contract() throws {
    let (rows, width) = (32, 1000)
    let values = (0..<2).map { Tensor.values([rows, width], seed: UInt64($0 + 4)) }
    let weight = Tensor.values([width], seed: 6)
    let want = try #require(Self.run(ANGEL_ISA_SCALAR, values, weight, rows: rows, width: width, parts: 1))
    for isa in [ANGEL_ISA_SCALAR, ANGEL_ISA_AVX2, ANGEL_ISA_AVX512, ANGEL_ISA_NEON] {
      for (count, parts) in [(1, 1), (2, 3), (7, 2), (32, 5)] {
        guard let got = Self.run(isa, values, weight, rows: count, width: width, parts: Int32(parts)) else { continue }
        #expect(got.sum[...] == want.sum.prefix(count * width))
        #expect(got.normalized[...] == want.normalized.prefix(count * width))
      }
    }
  }

  @Test("the sum may be written over the input")
  func aliasing() throws {
    let (rows, width) = (3, 37)
    let values = (0..<2).map { Tensor.values([rows, width], seed: UInt64($0 + 7)) }
    let weight = Tensor.values([width], seed: 9)
    let isa = angel_isa_current()
    let want = try #require(Self.run(isa, values, weight, rows: rows, width: width, parts: 1))
    let got = try #require(Self.run(isa, values, weight, rows: rows, width: width, parts: 1, inPlace: true))
    #expect(got.sum == want.sum && got.normalized == want.normalized)
  }

  /// The kernel of one instruction set, run in parts one after the other; nil where this machine lacks the set.
  private static func run(
    _ isa: angel_isa, _ values: [[Float]], _ weight: [Float], rows: Int, width: Int, parts: Int32, inPlace: Bool = false
  ) -> (sum: [Float], normalized: [Float])? {
    let family = ANGEL_FAMILY_add_rmsnorm
    guard let kernel = angel_kernel_lookup_for(isa, family, ANGEL_F32, ANGEL_NO_DTYPE, ANGEL_NO_DTYPE) else {
      return nil
    }
    var sum = Array(values[0].prefix(rows * width))
    var normalized = [Float](repeating: .nan, count: rows * width)
    withSpans(values[0], values[1], weight) { input, update, weight in
      sum.withUnsafeMutableBufferPointer { sum in
        normalized.withUnsafeMutableBufferPointer { normalized in
          var arguments = angel_add_rmsnorm_arguments(
            input: inPlace ? UnsafePointer(sum.baseAddress) : input, update: update, weight: weight,
            sum: sum.baseAddress, normalized: normalized.baseAddress, rows: Int64(rows), width: Int64(width),
            epsilon: 1e-5)
          for part in 0..<parts { kernel(&arguments, part, parts) }
        }
      }
    }
    return (sum, normalized)
  }

  private static func withSpans(
    _ a: [Float], _ b: [Float], _ c: [Float],
    _ body: (UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?) -> Void
  ) {
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        c.withUnsafeBufferPointer { c in body(a.baseAddress, b.baseAddress, c.baseAddress) }
      }
    }
  }
}
