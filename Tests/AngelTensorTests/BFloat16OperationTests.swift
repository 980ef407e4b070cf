import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import Testing

@Suite("Operations in bfloat16")
struct BFloat16OperationTests {
  /// A function of activations in bfloat16 and of parameters that stay float32.
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let activations: [Shape]
    let parameters: [Shape]
    let function: @Sendable ([Tensor], [Tensor]) -> Tensor

    init(
      _ name: String, _ activations: [Shape], _ parameters: [Shape] = [],
      _ function: @escaping @Sendable ([Tensor], [Tensor]) -> Tensor
    ) {
      testDescription = name
      self.activations = activations
      self.parameters = parameters
      self.function = function
    }
  }

  static let cases: [Case] = [37, 96].flatMap { width in
    [
      .init("sum \(width)", [[5, width], [5, width]]) { x, _ in x[0] + x[1] },
      .init("rmsnorm \(width)", [[5, width]], [[width]]) { x, w in x[0].rmsNormalized(weight: w[0], epsilon: 1e-5) },
      .init("layernorm \(width)", [[5, width]], [[width], [width]]) { x, w in
        x[0].layerNormalized(weight: w[0], bias: w[1], epsilon: 1e-5)
      },
      .init("swiglu \(width)", [[5, width], [5, width]]) { x, _ in swiGLU(gate: x[0], up: x[1]) },
      .init("gelu \(width)", [[5, width]]) { x, _ in gelu(x[0], .tanh) },
      .init("gelu by its definition \(width)", [[5, width]]) { x, _ in gelu(x[0], .erf) },
      .init("geglu \(width)", [[5, width], [5, width]]) { x, _ in geGLU(gate: x[0], up: x[1], .tanh) },
      .init("rotary \(width)", [[3, 2, width]]) { x, _ in
        let frequencies = Tensor((0..<(width / 2)).map { 1 / Float($0 + 1) }, on: x[0].backend)
        return x[0].rotated(by: frequencies.rotationTable(at: Tensor([0, 1, 7] as [Int32], on: x[0].backend)))
      },
      .init("attention \(width)", [[9, 2, width], [9, 1, width], [9, 1, width]]) { x, _ in
        segmentAttention(
          x[0], keys: x[1], values: x[2], segments: Segments(lengths: [4, 5], on: x[0].backend),
          shape: AttentionShape(scale: 0.3))
      },
      .init("softcap \(width)", [[5, width]]) { x, _ in x[0].softCapped(at: 0.8) },
    ]
  }

  private let backend: CPUBackend

  init() throws { backend = try CPUBackend(pool: PagePool(budget: 128 << 20), threadCount: 2) }

  private func rounded(_ x: Tensor) throws -> [Float] {
    try x.cast(to: .bfloat16).cast(to: .float32).read(as: Float.self)
  }

  /// Arithmetic is float32 inside, so the float32 operation on the same values is the reference, to the last bit where sums
  /// have one order.
  @Test("results and gradients are those of float32 arithmetic, rounded once", arguments: cases)
  func rounded(_ c: Case) throws {
    let narrow = c.activations.enumerated().map { index, shape in
      backend.random(shape, seed: UInt64(index + 3)).cast(to: .bfloat16).asLeaf()
    }
    let wide = narrow.map { $0.detached.cast(to: .float32).asLeaf() }
    let parameters = c.parameters.enumerated().map { backend.random($1, seed: UInt64($0 + 17)).asLeaf() }
    let twins = parameters.map { $0.detached.asLeaf() }
    let (got, want) = (c.function(narrow, parameters), c.function(wide, twins))
    #expect(got.dtype == .bfloat16 && want.dtype == .float32)
    #expect(try rounded(got) == rounded(want))
    let dy = backend.random(got.shape, seed: 99).cast(to: .bfloat16)
    let (gradients, references) = (
      got.gradients(weightedBy: dy), want.gradients(weightedBy: dy.cast(to: .float32))
    )
    for (x, twin) in zip(narrow, wide) {
      let gradient = try #require(gradients[x])
      #expect(gradient.dtype == .bfloat16)
      // Attention's backward pass reads its result, which has been rounded.
      let bound = c.testDescription.hasPrefix("attention") ? 1e-2 : 3e-3
      let error = try normalizedError(rounded(gradient), #require(references[twin]).read(as: Float.self))
      #expect(error < bound)
    }
    for (parameter, twin) in zip(parameters, twins) {
      let gradient = try #require(gradients[parameter])
      #expect(gradient.dtype == .float32)
      #expect(
        try normalizedError(gradient.read(as: Float.self), #require(references[twin]).read(as: Float.self)) < 1e-6)
    }
  }

  @Test("the residual stream stays float32 beside bfloat16, and norms round what they make of it")
  func residual() throws {
    let (stream, weight) = (backend.random([6, 40], seed: 1).asLeaf(), backend.random([40], seed: 3).asLeaf())
    let update = backend.random([6, 40], seed: 2).cast(to: .bfloat16).asLeaf()
    let (sum, normalized) = stream.adding(update, normalizedBy: weight, epsilon: 1e-5)
    let plain = stream + update
    #expect(sum.dtype == .float32 && plain.dtype == .float32 && normalized.dtype == .bfloat16)
    #expect(try sum.read(as: Float.self) == plain.read(as: Float.self))
    let wide = plain.detached.rmsNormalized(weight: weight.detached, epsilon: 1e-5)
    #expect(try rounded(normalized) == rounded(wide))
    let norm = plain.rmsNormalized(weight: weight, epsilon: 1e-5, output: .bfloat16)
    #expect(try rounded(norm) == rounded(wide))
    let gradients = norm.gradients(weightedBy: backend.random([6, 40], seed: 5).cast(to: .bfloat16))
    #expect(gradients[stream]?.dtype == .float32 && gradients[update]?.dtype == .bfloat16)
    #expect(try rounded(#require(gradients[stream])) == rounded(#require(gradients[update])))
  }

  @Test("rows of a table in bfloat16 come and their gradients go in float32")
  func lookUp() throws {
    let table = backend.random([7, 33], seed: 1).cast(to: .bfloat16)
    let leaf = GradientNode(leaf: TensorSpecification([7, 33], .float32))
    let tokens = Tensor([2, 5, 2] as [Int32], on: backend)
    let rows = table.leaf(leaf).wideRows(tokens)
    #expect(try rows.read(as: Float.self) == table.cast(to: .float32).rows(tokens).read(as: Float.self))
    let dy = backend.random([3, 33], seed: 8)
    let gradient = try #require(rows.gradients(weightedBy: dy)[leaf])
    #expect(try gradient.read(as: Float.self) == dy.scattered(to: tokens, count: 7).read(as: Float.self))
  }

  @Test("two halves hold every float32, and the upper one is the nearest bfloat16")
  func halves() throws {
    var bits: [UInt32] = [
      0, 0x8000_0000, 0x7F7F_FFFF, 0xFF7F_FFFF, 0x7F80_0000, 1, 0x3F80_8000, 0x3F81_8000, 0xBF80_8000,
    ]
    bits += (0..<5000).map { UInt32($0) &* 2_654_435_761 }.filter { $0 & 0x7F80_0000 != 0x7F80_0000 }
    let values = bits.map(Float.init(bitPattern:))
    let held = TrainedValues(halving: Tensor(values, on: backend))
    #expect(try held.values.read(as: Float.self).map(\.bitPattern) == bits)
    let upper = try held.tensor.cast(to: .float32).read(as: Float.self)
    for (value, half) in zip(values, upper) where value.isFinite && half.isFinite {
      #expect(abs(value.bitPattern.distance(to: half.bitPattern)) <= 0x8000)
    }
    Array(values.reversed()).withUnsafeBytes { held.overwrite(with: $0) }
    #expect(try held.values.read(as: Float.self).map(\.bitPattern) == bits.reversed())
  }

  @Test(
    "experts give and get what float32 arithmetic does with the same values, but for rounding", arguments: [32, 40])
  func experts(width: Int) throws {
    let backend = backend
    let routing = backend.random([12, 4], seed: 5, scale: 3).softmax().routed(toBest: 2, normalizing: true)
    let order = routing.order(expertCount: 4)
    let x = backend.random([12, width], seed: 6).cast(to: .bfloat16)
    let weights = (0..<4).map { backend.random([24, width], seed: 7 + UInt64($0)).cast(to: .bfloat16) }
    func run(_ dtype: DType) throws -> [[Float]] {
      let input = x.cast(to: dtype).asLeaf()
      let matrices = weights.map { $0.cast(to: dtype).asLeaf() }
      let result = input.grouped(order).matmul(experts: matrices, order).summed(routing, order)
      #expect(result.dtype == .float32)
      let gradients = try result.squared().sum().backward()
      return try [result.detached].map { try $0.read(as: Float.self) }
        + ([input] + matrices).map { try #require(gradients[$0]).cast(to: .float32).read(as: Float.self) }
    }
    for (got, want) in zip(try run(.bfloat16), try run(.float32)) { #expect(normalizedError(got, want) < 0.01) }
  }
}
