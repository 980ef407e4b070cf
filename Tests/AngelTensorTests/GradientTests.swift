import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import CAngelKernels
import Testing

/// A function whose gradients are checked, and the shapes of what it is given.
struct GradientCase: Sendable, CustomTestStringConvertible {
  let name: String
  let shapes: [Shape]
  let function: @Sendable ([Tensor]) -> Tensor

  init(_ name: String, _ shapes: [Shape], _ function: @escaping @Sendable ([Tensor]) -> Tensor) {
    self.name = name
    self.shapes = shapes
    self.function = function
  }

  var testDescription: String { name }

  func check(on backend: CPUBackend) -> GradientCheck {
    let inputs = shapes.enumerated().map { index, shape in
      backend.random(shape, seed: UInt64(index + 31)).cast(to: .float64)
    }
    return GradientCheck(inputs, function)
  }
}

extension GradientCase {
  static let primitives: [GradientCase] = [
    .init("add, broadcast", [[2, 1, 3], [4, 1]]) { $0[0] + $0[1] },
    .init("subtract, broadcast", [[4, 1], [2, 1, 3]]) { $0[0] - $0[1] },
    .init("multiply, broadcast", [[2, 1, 3], [4, 1]]) { $0[0] * $0[1] },
    .init("divide, broadcast", [[3, 2], [2]]) { $0[0] / ($0[1].squared() + 1) },
    .init("maximum", [[5, 3], [3]]) { maximum($0[0], $0[1]) },
    .init("minimum", [[5, 3], [3]]) { minimum($0[0], $0[1]) },
    .init("negate and constants", [[7]]) { 2 - (-$0[0]) * 3 / 0.7 },
    .init("exp", [[7]]) { exp($0[0]) },
    .init("log", [[7]]) { log($0[0].squared() + 0.5) },
    .init("sqrt", [[7]]) { sqrt($0[0].squared() + 0.5) },
    .init("sin", [[7]]) { sin($0[0]) },
    .init("cos", [[7]]) { cos($0[0]) },
    .init("tanh", [[7]]) { tanh($0[0]) },
    .init("erf", [[7]]) { erf($0[0]) },
    .init("sum over each axis", [[2, 3, 4]]) { $0[0].sum(over: 1) * $0[0].sum(over: 0) * $0[0].mean(over: 2) },
    .init("max", [[3, 5]]) { $0[0].max(over: -1) * $0[0].max(over: 0) },
    .init("permute", [[2, 3, 4]]) { $0[0].permuted(2, 0, 1) },
    .init("broadcast", [[3, 1]]) { $0[0].broadcast(to: [2, 3, 4]) },
    .init("reshape", [[2, 3, 4]]) { $0[0].reshaped(4, -1) },
    .init("prefix", [[5, 3]]) { $0[0].prefix(1..<3) * $0[0].prefix(3..<5) },
    .init("stack", [[2, 3], [2, 3]]) { Tensor.stacked([$0[0], $0[1], $0[0]]) },
    .init("gather", [[4, 3]]) { $0[0].rows(Tensor([2 as Int32, 0, 2, 3, 2], on: $0[0].backend)) },
    .init("scatter-add", [[5, 3]]) {
      $0[0].scattered(to: Tensor([2 as Int32, 0, 2, 3, 2], on: $0[0].backend), count: 6)
    },
    .init("matmul", [[2, 3, 4], [2, 4, 5]]) { $0[0].matmul($0[1]) },
    .init("matmul, right transposed", [[2, 3, 4], [2, 5, 4]]) { $0[0].matmul($0[1], transposingRight: true) },
    .init("matmul, left transposed", [[2, 4, 3], [2, 4, 5]]) { $0[0].matmul($0[1], transposingLeft: true) },
    .init("matmul, both transposed", [[2, 4, 3], [2, 5, 4]]) {
      $0[0].matmul($0[1], transposingLeft: true, transposingRight: true)
    },
  ]

  static let families: [GradientCase] = [
    .init("rmsnorm", [[5, 24], [24]]) { $0[0].rmsNormalized(weight: $0[1], epsilon: 1e-5) },
    .init("add_rmsnorm, both results", [[3, 17], [3, 17], [17]]) {
      guard $0[0].dtype == .float32 else {
        let (sum, normalized) = AddRMSNormalization(epsilon: 1e-5).composed($0[0], $0[1], weight: $0[2])
        return sum * normalized
      }
      let (sum, normalized) = $0[0].adding($0[1], normalizedBy: $0[2], epsilon: 1e-5)
      return sum * normalized
    },
    .init("rotary", [[5, 3, 8]]) {
      let frequencies = Tensor([1.0, 0.5, 0.25, 0.125], on: $0[0].backend).cast(to: $0[0].dtype)
      let positions = Tensor([0 as Int32, 1, 2, 0, 1], on: $0[0].backend)
      return $0[0].rotated(by: frequencies.rotationTable(at: positions))
    },
    .init("swiglu", [[3, 11], [3, 11]]) { swiGLU(gate: $0[0], up: $0[1]) },
    .init("layernorm", [[5, 24], [24], [24]]) { $0[0].layerNormalized(weight: $0[1], bias: $0[2], epsilon: 1e-5) },
    .init("gelu by its definition", [[3, 11]]) { gelu($0[0] * 3, .erf) },
    .init("gelu by tanh", [[3, 11]]) { gelu($0[0] * 3, .tanh) },
    .init("geglu by its definition", [[3, 11], [3, 11]]) { geGLU(gate: $0[0] * 2, up: $0[1], .erf) },
    .init("geglu by tanh", [[3, 11], [3, 11]]) { geGLU(gate: $0[0] * 2, up: $0[1], .tanh) },
    .init("softcap", [[3, 9]]) { $0[0].softCapped(at: 0.8) },
    .init("softmax", [[3, 9]]) { $0[0].softmax() },
    .init("linear", [[5, 7], [6, 7], [6]]) { $0[0].matmul($0[1], bias: $0[2]) },
    .init("cross-entropy", [[4, 9]]) { $0[0].crossEntropy(targets(on: $0[0].backend)) },
    .init("cross-entropy, smoothed and penalised", [[4, 9]]) {
      var targets = targets(on: $0[0].backend)
      targets.labelSmoothing = 0.1
      targets.partitionPenalty = 0.02
      return $0[0].crossEntropy(targets)
    },
    .init("linear and cross-entropy, by chunks", [[4, 5], [9, 5]]) {
      var targets = targets(on: $0[0].backend)
      targets.labelSmoothing = 0.1
      targets.partitionPenalty = 0.02
      // Chunks of two rows in float32.
      return $0[0].crossEntropy(head: $0[1], targets, logitBytes: 80) * 3
    },
    .init("route of a softmax, normalised", [[5, 7]]) {
      ($0[0] * 3).softmax().routed(toBest: 3, normalizing: true).weights
    },
    .init("route of sigmoids", [[5, 7]]) { sigmoid($0[0]).routed(toBest: 2, normalizing: false).weights },
    .init("route of one expert", [[5, 3]]) {
      $0[0].softmax().routed(toBest: 1, normalizing: false).weights
    },
    // Of four experts the last is chosen by no row.
    .init("experts", [[6, 5], [6, 4], [3, 5], [3, 5], [3, 5], [3, 5]]) { inputs in
      let scores = inputs[1] - Tensor([0.0, 0, 0, 9], on: inputs[1].backend).cast(to: inputs[1].dtype)
      let routing = scores.softmax().routed(toBest: 2, normalizing: true)
      let order = routing.order(expertCount: 4)
      return inputs[0].grouped(order).matmul(experts: Array(inputs[2...]), order).summed(routing, order)
    },
    convolution("3x3", [2, 4, 5, 3], [4, 3, 3, 3], .init(padding: 1)),
    convolution("with strides", [1, 5, 6, 2], [3, 3, 2, 2], .init(stride: .init(y: 2, x: 3), padding: 1)),
    convolution(
      "dilated", [1, 6, 7, 2], [2, 2, 3, 2], .init(padding: .init(y: 0, x: 2), dilation: .init(y: 3, x: 2))),
    convolution("in groups", [1, 4, 4, 6], [4, 3, 3, 3], .init(stride: 2, padding: 1, groups: 2)),
    convolution("of one place", [2, 3, 2, 5], [4, 1, 1, 5], .init()),
    .init("group norm", [[2, 3, 2, 6], [6], [6]]) {
      $0[0].groupNormalized(groups: 3, weight: $0[1], bias: $0[2], epsilon: 1e-5)
    },
    .init("group norm, then SiLU", [[2, 5, 4], [4], [4]]) {
      $0[0].groupNormalized(groups: 1, weight: $0[1] + 1, bias: $0[2], epsilon: 1e-5, thenSiLU: true)
    },
    .init("up-sampling", [[2, 2, 3, 3]]) { $0[0].upsampled(by: 2) },
    .init("average pooling", [[2, 4, 6, 3]]) { $0[0].averagePooled(by: 2) },
    .init("time-step waves", [[3]]) { steps in
      var waves = TimestepWaves(count: 7)
      waves.longest = 100
      return waves(steps[0])
    },
    attention("causal", AttentionShape(scale: 0.4), isCausal: true),
    attention("bidirectional", AttentionShape(scale: 0.4), isCausal: false),
    attention("causal, windowed, capped", AttentionShape(scale: 0.9, softCap: 2, window: 2), isCausal: true),
    attention("bidirectional, windowed", AttentionShape(scale: 0.4, window: 2), isCausal: false),
  ]

  private static func convolution(
    _ name: String, _ image: Shape, _ weight: Shape, _ geometry: ConvolutionGeometry
  ) -> GradientCase {
    .init("convolution \(name)", [image, weight, [weight[0]]]) {
      $0[0].convolved(with: $0[1], bias: $0[2], geometry)
    }
  }

  private static func attention(_ name: String, _ shape: AttentionShape, isCausal: Bool) -> GradientCase {
    .init("segment attention, \(name)", [[7, 4, 3], [7, 2, 3], [7, 2, 3]]) {
      segmentAttention(
        $0[0], keys: $0[1], values: $0[2], segments: Segments(lengths: [4, 1, 2], on: $0[0].backend), shape: shape,
        isCausal: isCausal)
    }
  }

  private static func targets(on backend: any Backend) -> PredictionTargets {
    PredictionTargets(
      tokens: Tensor([3 as Int32, 0, 8, 3], on: backend), weights: Tensor([1 as Float, 0.5, 0, 2], on: backend))
  }
}

@Suite("Gradients equal finite differences in float64")
struct GradientTests {
  @Test("of primitives", arguments: GradientCase.primitives)
  func primitives(_ entry: GradientCase) throws {
    #expect(try entry.check(on: TestBackend.make()).errorAgainstDifferences() < 1e-8)
  }

  @Test("of families", arguments: GradientCase.families)
  func families(_ entry: GradientCase) throws {
    #expect(try entry.check(on: TestBackend.make()).errorAgainstDifferences() < 1e-8)
  }

  @Test(
    "and in float32, where kernels run, those in float64", arguments: GradientCase.primitives + GradientCase.families)
  func float32(_ entry: GradientCase) throws {
    #expect(try entry.check(on: TestBackend.make()).errorInFloat32() < 2e-6)
  }

  @Test("of families without backward kernels", arguments: GradientCase.families)
  func inOperations(_ entry: GradientCase) throws {
    let inputs = try entry.check(on: TestBackend.make()).inputs
    let backend = try ForwardOnlyBackend(TestBackend.make())
    let moved = try inputs.map { Tensor(try $0.read(as: Double.self), shape: $0.shape, on: backend) }
    #expect(try GradientCheck(moved, entry.function).errorInFloat32() < 2e-6)
  }

  @Test("equal maxima share the gradient, equal arguments too")
  func ties() throws {
    let backend = try TestBackend.make()
    let x = Tensor([1.0, 3, 3, 2], on: backend).asLeaf()
    #expect(try #require(x.max(over: 0).sum().backward()[x]).read() == [0, 0.5, 0.5, 0])
    let y = Tensor([1.0, 3, 3, 2], on: backend).asLeaf()
    #expect(try #require(maximum(y, y.constant(3)).sum().backward()[y]).read() == [0, 0.5, 0.5, 0])
  }

  @Test("a product with packed experts, which are constants")
  func packedExperts() throws {
    let backend = try TestBackend.make()
    let weights = (0..<4).map { backend.random([6, 7], seed: 50 + UInt64($0)) }
    let routing = backend.random([5, 4], seed: 60).softmax().routed(toBest: 2, normalizing: false)
    let order = routing.order(expertCount: 4)
    let packed = backend.random([5, 7], seed: 61).asLeaf()
    let matrices = ExpertMatrices(weights.map { PackedMatrix($0, as: .float32) })
    let result = packed.grouped(order).matmul(matrices, order).summed(routing, order)
    let dense = backend.random([5, 7], seed: 61).asLeaf()
    let other = dense.grouped(order).matmul(experts: weights, order).summed(routing, order)
    #expect(try result.detached.read(as: Float.self) == other.detached.read(as: Float.self))
    let got = try #require(result.squared().sum().backward()[packed]).read(as: Float.self)
    let want = try #require(other.squared().sum().backward()[dense]).read(as: Float.self)
    #expect(normalizedError(got, want) < 1e-6)
  }

  @Test("without rows a weight's gradient is zero, whatever lay in its memory", arguments: [DType.float32, .bfloat16])
  func noRows(_ dtype: DType) throws {
    let backend = try CPUBackend(pool: PagePool(budget: 16 << 20), threadCount: 1)
    let weight = backend.random([40, 7], seed: 43)
    for kind in [MemoryKind.gradients, .activations] {
      // What is allocated next gets this memory.
      let ones = Tensor(
        uninitialized: TensorSpecification([Page.byteCount / 4], .float32), on: backend, kind: kind)
      _ = (ones * 0 + 1).copied(to: kind)
    }
    let hidden = Tensor([Float](), shape: [0, 7], on: backend).cast(to: dtype)
    let none = PredictionTargets(
      tokens: Tensor([Int32](), on: backend), weights: Tensor([Float](), on: backend))
    let functions: [(Tensor) -> Tensor] = [
      { hidden.crossEntropy(head: $0, none) },
      { hidden.matmul($0, bias: nil).cast(to: .float32).softCapped(at: 4).crossEntropy(none) },
    ]
    for function in functions {
      let leaf = weight.asLeaf()
      let loss = function(leaf)
      #expect(try loss.detached.read(as: Float.self) == [0])
      let gradient = try #require(loss.backward()[leaf])
      #expect(try gradient.cast(to: .float32).read(as: Float.self) == [Float](repeating: 0, count: 280))
    }
  }

  @Test("a product with a packed weight, which is a constant")
  func packedProduct() throws {
    let backend = try TestBackend.make()
    let weight = backend.random([6, 7], seed: 40)
    let bias = backend.random([6], seed: 41).asLeaf()
    let x = backend.random([5, 7], seed: 42)
    let packed = x.asLeaf()
    let gradients = try packed.matmul(PackedMatrix(weight, as: .float32), bias: bias).squared().sum().backward()
    let dense = x.asLeaf()
    let want = try dense.matmul(weight, bias: bias).squared().sum().backward()
    for (got, want) in [(gradients[packed], want[dense]), (gradients[bias], want[bias])] {
      #expect(normalizedError(try #require(got).read(as: Float.self), try #require(want).read(as: Float.self)) < 1e-6)
    }
  }
}

/// A CPU backend that has the kernels of forward passes alone.
final class ForwardOnlyBackend: Backend {
  private let backend: CPUBackend

  init(_ backend: CPUBackend) { self.backend = backend }

  var device: Device { backend.device }
  func allocate(byteCount: Int, kind: MemoryKind) -> Allocation { backend.allocate(byteCount: byteCount, kind: kind) }
  func release(_ allocation: Allocation) { backend.release(allocation) }
  func write(_ bytes: UnsafeRawBufferPointer, to allocation: Allocation, at offset: Int) {
    backend.write(bytes, to: allocation, at: offset)
  }
  func read(_ allocation: Allocation, at offset: Int, into bytes: UnsafeMutableRawBufferPointer)
    throws(BackendError)
  {
    try backend.read(allocation, at: offset, into: bytes)
  }
  func kernel(_ family: angel_family, _ dtypes: KernelDTypes) -> Kernel? {
    family.name.hasSuffix("_backward") ? nil : backend.kernel(family, dtypes)
  }
  func launch(_ kernel: Kernel, _ arguments: UnsafeRawBufferPointer, work: Work) {
    backend.launch(kernel, arguments, work: work)
  }
  func record(_ body: () throws -> Void) throws -> (any RecordedStep)? { try backend.record(body) }
  func synchronize() throws(BackendError) { try backend.synchronize() }
}
