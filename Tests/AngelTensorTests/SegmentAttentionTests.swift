import AngelCPU
import AngelCore
import AngelTensor
import AngelTesting
import CAngelKernels
import Testing

@Suite("Attention over sequences laid end to end")
struct SegmentAttentionTests {
  static let shapes = [
    AttentionShape(scale: 0.25), AttentionShape(scale: 0.25, softCap: 3, window: 0),
    AttentionShape(scale: 0.25, softCap: 0, window: 19),
  ]

  private struct Inputs {
    let queries: Tensor
    let keys: Tensor
    let values: Tensor

    init(rows: Int, heads: Int = 6, groups: Int = 2, size: Int = 20, on backend: CPUBackend) {
      queries = backend.random([rows, heads, size], seed: 10)
      keys = backend.random([rows, groups, size], seed: 11)
      values = backend.random([rows, groups, size], seed: 12)
    }
  }

  @Test("the kernel equals the composed form", arguments: shapes, [true, false])
  func composed(_ shape: AttentionShape, isCausal: Bool) throws {
    let backend = try TestBackend.make()
    let x = Inputs(rows: 100, on: backend)
    let segments = Segments(lengths: [1, 16, 50, 33], on: backend)
    let attention = SegmentAttention(segments: segments, shape: shape, isCausal: isCausal)
    let got: [Float] = try attention(x.queries, keys: x.keys, values: x.values).read()
    let want: [Double] = try attention.composed(
      x.queries.cast(to: .float64), keys: x.keys.cast(to: .float64), values: x.values.cast(to: .float64)
    ).read()
    #expect(normalizedError(got.map(Double.init), want) < 2e-6)
  }

  @Test("gradients equal those through the composed form in float64", arguments: shapes, [true, false])
  func gradients(_ shape: AttentionShape, isCausal: Bool) throws {
    let backend = try TestBackend.make()
    let x = Inputs(rows: 70, on: backend)
    let check = GradientCheck([x.queries, x.keys, x.values].map { $0.cast(to: .float64) }) {
      segmentAttention(
        $0[0], keys: $0[1], values: $0[2], segments: Segments(lengths: [1, 16, 36, 17], on: $0[0].backend),
        shape: shape, isCausal: isCausal)
    }
    #expect(try check.errorInFloat32() < 2e-6)
  }

  @Test("bfloat16 is rounded once: its output has the bits of float32's, its gradients are near", arguments: shapes)
  func bfloat16(_ shape: AttentionShape) throws {
    let backend = try TestBackend.make()
    let x = Inputs(rows: 100, on: backend)
    let segments = Segments(lengths: [1, 16, 50, 33], on: backend)
    let halves = [x.queries, x.keys, x.values].map { $0.cast(to: .bfloat16).asLeaf() }
    let singles = halves.map { $0.detached.cast(to: .float32).asLeaf() }
    func run(_ inputs: [Tensor]) -> Tensor {
      segmentAttention(inputs[0], keys: inputs[1], values: inputs[2], segments: segments, shape: shape)
    }
    let (half, single) = (run(halves), run(singles))
    #expect(try half.cast(to: .float32).read() as [Float] == single.cast(to: .bfloat16).cast(to: .float32).read())
    let weights = backend.random([100, 6, 20], seed: 13).cast(to: .bfloat16)
    let got = half.gradients(weightedBy: weights)
    let want = single.gradients(weightedBy: weights.cast(to: .float32))
    for (half, single) in zip(halves, singles) {
      let (got, want) = (try #require(got[half]), try #require(want[single]))
      #expect(got.dtype == .bfloat16)
      let numbers: [Float] = try got.cast(to: .float32).read()
      let exact: [Float] = try want.read()
      #expect(normalizedError(numbers.map(Double.init), exact.map(Double.init)) < 8e-3)
    }
  }

  @Test("the bits are those of the paged cache in float32, which serves", arguments: shapes)
  func paged(_ shape: AttentionShape) throws {
    let backend = try TestBackend.make()
    let (rows, heads, groups, size) = (1100, 6, 2, 20)
    let x = Inputs(rows: rows, heads: heads, groups: groups, size: size, on: backend)
    let geometry = CacheGeometry(layerCount: 1, keyValueHeadCount: groups, headSize: size)
    let blocks = (rows + 15) / 16
    let memory = backend.allocate(byteCount: blocks * geometry.blockBytes(.float32), kind: .keyValueCache)
    defer { backend.release(memory) }
    let offsets = (0..<blocks).map { Int64($0 * geometry.blockBytes(.float32)) }
    let cache = PagedCache(
      arena: CacheArena(base: memory.address), blockTable: Tensor(offsets, shape: [1, 1, blocks], on: backend),
      rowSequences: Tensor([Int32](repeating: 0, count: rows), on: backend),
      rowPositions: Tensor((0..<Int32(rows)).map { $0 }, on: backend), geometry: geometry, dtype: .float32)
    cache.store(keys: x.keys, values: x.values, layer: 0)
    let want: [Float] = try cache.attend(x.queries, layer: 0, shape: shape).read()
    let segments = Segments(lengths: [rows], on: backend)
    let got = segmentAttention(x.queries, keys: x.keys, values: x.values, segments: segments, shape: shape)
    #expect(try got.read() == want)
  }

  @Test("rows do not depend on other sequences, gradients on threads")
  func independence() throws {
    func run(_ threadCount: Int, _ lengths: [Int]) throws -> (output: [Float], gradients: [[Float]]) {
      let backend = try TestBackend.make(threadCount: threadCount)
      let x = Inputs(rows: 200, on: backend)
      let leaves = [x.queries, x.keys, x.values].map { $0.asLeaf() }
      let output = segmentAttention(
        leaves[0], keys: leaves[1], values: leaves[2], segments: Segments(lengths: lengths, on: backend),
        shape: Self.shapes[0])
      let gradients = try (output * output).sum().backward()
      return (try output.read(), try leaves.map { try #require(gradients[$0]).read() })
    }
    let one = try run(1, [50, 150])
    let two = try run(3, [50, 150])
    #expect(one.output == two.output && one.gradients == two.gradients)
    let split = try run(2, [50, 70, 80])
    #expect(Array(split.output.prefix(120 * 120)) == Array(one.output.prefix(120 * 120)))
    #expect(split.output != one.output)
  }
}
