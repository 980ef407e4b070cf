import AngelCPU
import AngelCore
import AngelTensor
import AngelTesting
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
}
