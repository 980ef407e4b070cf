import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor
import AngelTesting
import CAngelKernels
import Testing

@Suite("Products of dense matrices")
struct DenseProductTests {
  /// A product's sizes and which operands are read transposed.
  struct Case: Sendable, CustomTestStringConvertible {
    var (m, n, k) = (1, 1, 1)
    var transposesLeft = false
    var transposesRight = false
    var testDescription: String { "[\(m), \(k)] x [\(k), \(n)], \(transposesLeft), \(transposesRight)" }
  }

  static let cases: [Case] = [(1, 1, 1), (3, 5, 7), (9, 33, 130), (260, 40, 129), (17, 64, 320)].flatMap { sizes in
    [(false, false), (false, true), (true, false), (true, true)].map {
      Case(m: sizes.0, n: sizes.1, k: sizes.2, transposesLeft: $0.0, transposesRight: $0.1)
    }
  }

  private let backend: CPUBackend

  init() throws { backend = try CPUBackend(pool: PagePool(budget: 256 << 20), threadCount: 2) }

  private func operands(_ c: Case) -> (Tensor, Tensor, Tensor) {
    (
      backend.random(c.transposesLeft ? [c.k, c.m] : [c.m, c.k], seed: 1),
      backend.random(c.transposesRight ? [c.n, c.k] : [c.k, c.n], seed: 2), backend.random([c.n], seed: 3)
    )
  }

  /// Sums of one chain over k, element by element; `inPairs` takes the odd element of each pair first.
  private func chain(_ c: Case, _ left: [Float], _ right: [Float], bias: [Float]?, inPairs: Bool = false) -> [Float] {
    (0..<(c.m * c.n)).map { index in
      let (row, column) = (index / c.n, index % c.n)
      var sum: Float = 0
      for step in 0..<(inPairs ? (c.k + 1) / 2 * 2 : c.k) {
        let k = inPairs ? step ^ 1 : step
        guard k < c.k else { continue }
        let x = left[c.transposesLeft ? k * c.m + row : row * c.k + k]
        sum.addProduct(x, right[c.transposesRight ? column * c.k + k : k * c.n + column])
      }
      return bias.map { sum + $0[column] } ?? sum
    }
  }

  /// The same in the order of AMX's tiles.
  private func tiled(_ c: Case, _ left: [Float], _ right: [Float], bias: [Float]) -> [Float] {
    (0..<(c.m * c.n)).map { index in
      let (row, column) = (index / c.n, index % c.n)
      let x = (0..<c.k).map { left[c.transposesLeft ? $0 * c.m + row : row * c.k + $0] }
      let y = (0..<c.k).map { right[c.transposesRight ? column * c.k + $0 : $0 * c.n + column] }
      return TileOrder.sum(y, x) + bias[column]
    }
  }

  @Test("a float32 product is one chain of fused multiply-adds an element, to the bit", arguments: cases)
  func float(_ c: Case) throws {
    let (left, right, bias) = operands(c)
    let product = DenseProduct(transposesLeft: c.transposesLeft, transposesRight: c.transposesRight)
    let (x, y, b) = (try left.read(as: Float.self), try right.read(as: Float.self), try bias.read(as: Float.self))
    #expect(try product(left, right).read(as: Float.self) == chain(c, x, y, bias: nil))
    #expect(try product(left, right, bias: bias).read(as: Float.self) == chain(c, x, y, bias: b))
  }

  @Test("a bfloat16 product sums the rounded operands in float32 and is rounded once", arguments: cases)
  func brainFloat(_ c: Case) throws {
    let (left, right, bias) = operands(c)
    let (narrowLeft, narrowRight) = (left.cast(to: .bfloat16), right.cast(to: .bfloat16))
    let x = try narrowLeft.cast(to: .float32).read(as: Float.self)
    let y = try narrowRight.cast(to: .float32).read(as: Float.self)
    let b = try bias.read(as: Float.self)
    let isTiled = angel_isa_current() == ANGEL_ISA_AMX
    let want = isTiled ? tiled(c, x, y, bias: b) : chain(c, x, y, bias: b, inPairs: true)
    let flags = (c.transposesLeft, c.transposesRight)
    let wide = DenseProduct(transposesLeft: flags.0, transposesRight: flags.1, output: .float32)
    #expect(try wide(narrowLeft, narrowRight, bias: bias).read(as: Float.self) == want)
    // One operand in bfloat16 rounds the other.
    #expect(try wide(narrowLeft, right, bias: bias).read(as: Float.self) == want)
    #expect(try wide(left, narrowRight, bias: bias).read(as: Float.self) == want)
    let narrow = DenseProduct(transposesLeft: flags.0, transposesRight: flags.1)(narrowLeft, narrowRight, bias: bias)
    let rounded = Tensor(want, shape: [c.m, c.n], on: backend).cast(to: .bfloat16).cast(to: .float32)
    #expect(narrow.dtype == .bfloat16)
    #expect(try narrow.cast(to: .float32).read(as: Float.self) == rounded.read(as: Float.self))
  }

  @Test("gradients of a bfloat16 product are the products of rounded gradients, the weight's in float32")
  func gradients() throws {
    let x = backend.random([37, 64], seed: 4).cast(to: .bfloat16).asLeaf()
    let weight = backend.random([48, 64], seed: 5).cast(to: .bfloat16)
    let leaf = GradientNode(leaf: TensorSpecification([48, 64], .float32))
    let bias = backend.random([48], seed: 6).asLeaf()
    let dy = backend.random([37, 48], seed: 7).cast(to: .bfloat16)
    let gradients = x.matmul(weight.leaf(leaf), bias: bias).gradients(weightedBy: dy)
    let wide = (dy.cast(to: .float32), x.detached.cast(to: .float32), weight.cast(to: .float32))
    let byX = try #require(gradients[x]), byWeight = try #require(gradients[leaf]),
      byBias = try #require(gradients[bias])
    #expect(byX.dtype == .bfloat16 && byWeight.dtype == .float32 && byBias.dtype == .float32)
    let wantWeight = DenseProduct(transposesLeft: true)(wide.0, wide.1)
    let wantX = DenseProduct()(wide.0, wide.2)
    #expect(try normalizedError(byWeight.read(as: Float.self), wantWeight.read(as: Float.self)) < 1e-6)
    #expect(try normalizedError(byX.cast(to: .float32).read(as: Float.self), wantX.read(as: Float.self)) < 3e-3)
    #expect(try normalizedError(byBias.read(as: Float.self), wide.0.sum(over: 0).read(as: Float.self)) < 1e-6)
  }

  @Test("the chunks of a head's loss change no bit of it or its gradients", arguments: [DType.float32, .bfloat16])
  func chunks(_ dtype: DType) throws {
    let hidden = backend.random([200, 48], seed: 8).cast(to: dtype).asLeaf()
    let weight = backend.random([77, 48], seed: 9).cast(to: dtype)
    let targets = PredictionTargets(
      tokens: Tensor((0..<200).map { Int32($0 * 13 % 77) }, on: backend),
      weights: Tensor((0..<200).map { Float($0 % 3) / 200 }, on: backend))
    func results(_ bytes: Int) throws -> [[Float]] {
      let leaf = GradientNode(leaf: TensorSpecification([77, 48], .float32))
      let loss = hidden.crossEntropy(head: weight.leaf(leaf), targets, logitBytes: bytes)
      let gradients = try loss.backward()
      return [
        try loss.read(as: Float.self), try #require(gradients[hidden]).cast(to: .float32).read(as: Float.self),
        try #require(gradients[leaf]).read(as: Float.self),
      ]
    }
    let whole = try results(1 << 30)
    #expect(try results(64 * 77 * 4) == whole)
    #expect(try results(6 * 77 * 4) == whole)
    let stored = hidden.detached.cast(to: .float32).asLeaf()
    let leaf = weight.cast(to: .float32).asLeaf()
    let gradients = try stored.matmul(leaf, bias: nil).crossEntropy(targets).backward()
    let bound = dtype == .float32 ? 1e-5 : 6e-3
    #expect(try normalizedError(whole[1], #require(gradients[stored]).read(as: Float.self)) < bound)
    #expect(try normalizedError(whole[2], #require(gradients[leaf]).read(as: Float.self)) < bound)
  }
}
