import AngelCPU
import AngelCore
import AngelTensor
import AngelTesting
import CAngelKernels
import Testing

/// Every operation's kernel against its composed form in float64, on every arithmetic device at hand.
@Suite("Operations equal their composed forms")
struct OperationTests {
  @Test("rmsnorm", arguments: [(1, 1), (3, 7), (5, 64), (2, 576), (4, 1000)])
  func rmsNorm(rows: Int, width: Int) throws {
    let backend = try TestBackend.make()
    let x = backend.random([rows, width], seed: 1)
    let weight = backend.random([width], seed: 2)
    try expectEqual(RMSNormalization(epsilon: 1e-5), [x, weight], tolerance: 2e-6)
  }

  @Test("swiglu", arguments: [1, 15, 16, 33, 4096])
  func swiGLU(count: Int) throws {
    let backend = try TestBackend.make()
    let gate = backend.random([count], seed: 3, scale: 8)
    try expectEqual(SwiGLU(), [gate, backend.random([count], seed: 4)], tolerance: 1e-6)
  }

  @Test("layernorm", arguments: [(1, 1), (3, 7), (5, 64), (2, 768), (4, 1000)])
  func layerNorm(rows: Int, width: Int) throws {
    let backend = try TestBackend.make()
    // A mean far from 0, which must be taken off before the squares are summed.
    let x = backend.random([rows, width], seed: 1) + 30
    let (weight, bias) = (backend.random([width], seed: 2), backend.random([width], seed: 3))
    try expectEqual(LayerNormalization(epsilon: 1e-5), [x, weight, bias], tolerance: 1e-5)
  }

  @Test("gelu and geglu in both forms", arguments: [1, 15, 16, 33, 4096], [GELUForm.erf, .tanh])
  func gelu(count: Int, form: GELUForm) throws {
    let backend = try TestBackend.make()
    let x = backend.random([count], seed: 3, scale: 4)
    try expectEqual(GELU(form), [x], tolerance: 1e-6)
    try expectEqual(GEGLU(form), [x, backend.random([count], seed: 4)], tolerance: 1e-6)
  }

  @Test("softcap", arguments: [1, 15, 16, 33, 4096])
  func softCap(count: Int) throws {
    let backend = try TestBackend.make()
    try expectEqual(SoftCap(2.5), [backend.random([count], seed: 5, scale: 4)], tolerance: 1e-6)
  }

  @Test("softmax", arguments: [(1, 1), (3, 15), (2, 4097)])
  func softmax(rows: Int, width: Int) throws {
    let backend = try TestBackend.make()
    try expectEqual(Softmax(), [backend.random([rows, width], seed: 5, scale: 20)], tolerance: 2e-6)
  }

  @Test("rotary and its table", arguments: [(1, 1, 2), (5, 3, 16), (7, 9, 64), (2, 4, 128)])
  func rotary(rows: Int, heads: Int, size: Int) throws {
    let backend = try TestBackend.make()
    let frequencies = Tensor((0..<(size / 2)).map { Float(1) / Float($0 + 1) }, on: backend)
    let positions = Tensor((0..<rows).map { Int32($0 * 3) }, on: backend)
    try expectEqual(RotationTable(scaling: 1.25), [frequencies, positions], tolerance: 1e-6)
    let table = frequencies.rotationTable(at: positions)
    try expectEqual(Rotation(), [backend.random([rows, heads, size], seed: 6), table], tolerance: 1e-6)
    // Heads of which only the beginning turns.
    try expectEqual(Rotation(), [backend.random([rows, heads, size + 3], seed: 6), table], tolerance: 1e-6)
  }

  @Test("packed products of dense weights", arguments: [(1, 1, 1), (3, 17, 100), (32, 576, 192)])
  func denseProduct(rows: Int, depth: Int, columns: Int) throws {
    let backend = try TestBackend.make()
    let weights: [Float] = Tensor.values([columns, depth], seed: 7)
    let matrix = weights.withUnsafeBytes {
      PackedMatrix(rows: $0, dtype: .float32, columns: columns, depth: depth, on: backend)
    }
    let x = backend.random([rows, depth], seed: 8)
    let bias = backend.random([columns], seed: 9)
    let got: [Float] = try x.matmul(matrix, bias: bias).read()
    let wide = Tensor(weights, shape: [1, columns, depth], on: backend).cast(to: .float64)
    let want: [Double] = try
      (x.cast(to: .float64).reshaped(1, rows, depth).matmul(wide, transposingRight: true)
      .reshaped(rows, columns) + bias.cast(to: .float64)).read()
    #expect(normalizedError(got.map(Double.init), want) < 1e-6)
    let backend2 = matrix.converted(to: .float16).dequantized().shape
    #expect(backend2 == [columns, depth])
  }

  @Test("grouped products and their weighted sum", arguments: [(1, 1, 1), (3, 17, 2), (21, 100, 3)])
  func experts(rows: Int, depth: Int, count: Int) throws {
    let backend = try TestBackend.make()
    let matrices = (0..<5).map { index in
      let weights: [Float] = Tensor.values([33, depth], seed: 40 + UInt64(index))
      return weights.withUnsafeBytes {
        PackedMatrix(rows: $0, dtype: .float32, columns: 33, depth: depth, on: backend)
      }
    }
    let routing = backend.random([rows, 5], seed: 13, scale: 4).softmax().routed(toBest: count, normalizing: true)
    let order = routing.order(expertCount: 5)
    let grouped = backend.random([rows, depth], seed: 14).rows(order.rows)
    let operation = ExpertProduct(ExpertMatrices(matrices))
    try expectEqual(operation, [grouped, order.offsets, order.experts], tolerance: 1e-6)
    let products = grouped.matmul(ExpertMatrices(matrices), order)
    try expectEqual(ExpertSum(), [products, routing.weights, order.places], tolerance: 1e-6)
  }

  @Test(
    "adapters of several ranks and types, each beside the rows that have it", arguments: [(1, 1), (13, 33), (40, 64)])
  func lowRank(rows: Int, width: Int) throws {
    let backend = try TestBackend.make()
    let table = LowRankTable(count: 4, inputs: width, outputs: 50, on: backend)
    for (number, dtype) in [(0, DType.float32), (1, .bfloat16), (3, .float16)] {
      let rank = 5 + 20 * number
      table.put(
        LowRankMatrices(
          down: Tensor.values([rank, width], seed: UInt64(number)), up: Tensor.values([50, rank], seed: 9), rank: rank,
          scale: 0.5, scales: number == 1 ? Tensor.values([50], seed: 3) : nil, dtype: dtype, on: backend), at: number)
    }
    let (x, product) = (backend.random([rows, width], seed: 1), backend.random([rows, 50], seed: 2))
    let numbers = Tensor((0..<rows).map { Int32($0 * 7 % 5 - 1) }, on: backend)
    try expectEqual(LowRank(table), [x, product, numbers], tolerance: 1e-6)
    try expectEqual(LowRank(table), [x, product, numbers, backend.random([50], seed: 4)], tolerance: 1e-6)
    table.put(nil, at: 3)
    try expectEqual(LowRank(table), [x, product, numbers], tolerance: 1e-6)
  }

  @Test("paged attention equals dense attention", arguments: [(0, Float(0)), (5, 0), (0, 3)])
  func attention(window: Int, softCap: Float) throws {
    let backend = try TestBackend.make()
    let (rows, heads, groups, size) = (37, 6, 2, 16)
    let geometry = CacheGeometry(layerCount: 2, keyValueHeadCount: groups, headSize: size)
    let blocks = 3
    let memory = backend.allocate(byteCount: blocks * geometry.blockBytes(.float32), kind: .keyValueCache)
    defer { backend.release(memory) }
    // Out of order, so that the table is really followed.
    let offsets = [2, 0, 1].map { Int64($0 * geometry.blockBytes(.float32)) }
    let cache = PagedCache(
      arena: CacheArena(base: memory.address), blockTable: Tensor(offsets, shape: [1, 1, blocks], on: backend),
      rowSequences: Tensor([Int32](repeating: 0, count: rows), on: backend),
      rowPositions: Tensor((0..<Int32(rows)).map { $0 }, on: backend), geometry: geometry, dtype: .float32)
    let (q, k, v) = (
      backend.random([rows, heads, size], seed: 10), backend.random([rows, groups, size], seed: 11),
      backend.random([rows, groups, size], seed: 12)
    )
    let shape = AttentionShape(scale: 0.25, softCap: softCap, window: window)
    cache.store(keys: k, values: v, layer: 1)
    let got: [Float] = try cache.attend(q, layer: 1, shape: shape).read()
    let want: [Double] = try denseAttention(
      q.cast(to: .float64), keys: k.cast(to: .float64), values: v.cast(to: .float64), positions: Array(0..<rows),
      shape: shape
    ).read()
    #expect(normalizedError(got.map(Double.init), want) < 2e-6)
  }

  private func expectEqual(_ operation: some TensorOperation, _ inputs: [Tensor], tolerance: Double) throws {
    let result =
      switch inputs.count {
      case 1: operation(inputs[0])
      case 2: operation(inputs[0], inputs[1])
      case 3: operation(inputs[0], inputs[1], inputs[2])
      default: operation(inputs[0], inputs[1], inputs[2], inputs[3])
      }
    let got: [Float] = try result.read()
    let wide = inputs.map { $0.dtype == .float32 ? $0.cast(to: .float64) : $0 }
    let composed = try #require(operation.composed(wide))
    #expect(composed.shape == result.shape)
    #expect(normalizedError(got.map(Double.init), try composed.read()) < tolerance)
  }
}

@Suite("Primitives equal plain loops")
struct PrimitiveTests {
  @Test("broadcasting arithmetic in float64")
  func broadcasting() throws {
    let backend = try TestBackend.make()
    let a = Tensor([1.0, 2, 3, 4, 5, 6], shape: [2, 1, 3], on: backend)
    let b = Tensor([10.0, 20, 30, 40], shape: [4, 1], on: backend)
    let sum = a + b
    #expect(sum.shape == [2, 4, 3])
    var want: [Double] = []
    for i in 0..<2 { for j in 0..<4 { for k in 0..<3 { want.append(Double(i * 3 + k + 1) + Double((j + 1) * 10)) } } }
    #expect(try sum.read() == want)
    #expect(try (a / 2).read() == [0.5, 1, 1.5, 2, 2.5, 3])
    #expect(try maximum(a, -a + 4).read() == [3, 2, 3, 4, 5, 6])
  }

  @Test("reductions over each axis")
  func reductions() throws {
    let backend = try TestBackend.make()
    let x = Tensor((0..<24).map { Double($0) }, shape: [2, 3, 4], on: backend)
    #expect(try x.sum(over: 1).read() == [12, 15, 18, 21, 48, 51, 54, 57])
    #expect(try x.max(over: 0).read() == (12..<24).map { Double($0) })
    #expect(try x.mean(over: -1).read() == [1.5, 5.5, 9.5, 13.5, 17.5, 21.5])
  }

  @Test("permutation, broadcast, stacking and casts move every element to its place")
  func copies() throws {
    let backend = try TestBackend.make()
    let x = Tensor((0..<24).map { Float($0) }, shape: [2, 3, 4], on: backend)
    let permuted: [Float] = try x.permuted(2, 0, 1).read()
    for i in 0..<4 {
      for j in 0..<2 { for k in 0..<3 { #expect(permuted[(i * 2 + j) * 3 + k] == Float(j * 12 + k * 4 + i)) } }
    }
    #expect(
      try Tensor([1 as Float, 2], shape: [2, 1], on: backend).broadcast(to: [2, 2, 2]).read() == [
        1, 1, 2, 2, 1, 1, 2, 2,
      ] as [Float])
    #expect(
      try Tensor.stacked([x.prefix(1..<2), x.prefix(0..<1)]).read()
        == ((12..<24).map { Float($0) } + (0..<12).map { Float($0) }))
    #expect(try Tensor([1.5 as Float, -2.9, 1e20], on: backend).cast(to: .int32).read() == [1, -2, Int32.max])
    #expect(
      try Tensor([1.0 as Float, 3.140625], on: backend).cast(to: .bfloat16).cast(to: .float32).read() == [1, 3.140625]
        as [Float])
  }

  @Test("gather picks rows")
  func gather() throws {
    let backend = try TestBackend.make()
    let table = Tensor((0..<6).map { Float($0) }, shape: [3, 2], on: backend)
    #expect(try table.rows(Tensor([2 as Int32, 0, 2], on: backend)).read() == [4, 5, 0, 1, 4, 5] as [Float])
  }
}

@Suite("The shapes-only backend")
struct ShapesBackendTests {
  @Test("operations give shapes, count memory and launches, and have no values")
  func shapes() throws {
    let backend = ShapesBackend()
    let x = Tensor([Float](repeating: 0, count: 64), shape: [4, 16], on: backend)
    let y = x.rmsNormalized(weight: Tensor([Float](repeating: 1, count: 16), on: backend), epsilon: 1e-5)
    #expect(y.shape == [4, 16] && y.dtype == .float32 && y.device == .shapes)
    #expect(backend.launches == ["rmsnorm": 1])
    #expect(backend.peakBytes[.activations] == 256 + 64 + 256)
    #expect(throws: BackendError.noArithmetic(.shapes)) { let _: [Float] = try y.read() }
  }

  @Test("dtypes have the kernels' raw values")
  func rawValues() {
    #expect(ANGEL_F32.rawValue == DType.float32.rawValue && ANGEL_BF16.rawValue == DType.bfloat16.rawValue)
    #expect(ANGEL_I64.rawValue == DType.int64.rawValue && ANGEL_U8.rawValue == DType.uint8.rawValue)
    #expect(ANGEL_INT8_ROWS.rawValue == DType.int8Rows.rawValue && ANGEL_Q4_0.rawValue == DType.q4_0.rawValue)
    #expect(ANGEL_Q8_0.rawValue == DType.q8_0.rawValue && ANGEL_Q6_K.rawValue == DType.q6_K.rawValue)
  }
}

@Suite("Memory failures")
struct MemoryFailureTests {
  @Test("an allocation beyond the budget surfaces where values are read, once, and later work runs again")
  func exhausted() throws {
    let backend = try CPUBackend(pool: .init(budget: 16 << 20), threadCount: 1)
    let small = Tensor([1 as Float, 2], on: backend)
    let large = small.reshaped(2, 1).broadcast(to: [2, 8 << 20]) + small.reshaped(2, 1)
    #expect(throws: BackendError.self) { let _: [Float] = try large.read() }
    #expect(try (small + small).read() == [2, 4] as [Float])
  }
}

/// The devices with arithmetic on this machine.
enum TestBackend {
  static func make(threadCount: Int = 2) throws -> CPUBackend {
    try CPUBackend(pool: .init(budget: 256 << 20), threadCount: threadCount)
  }
}

extension Tensor {
  /// Reproducible values, roughly normal.
  static func values(_ shape: Shape, seed: UInt64, scale: Float = 1) -> [Float] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<shape.elementCount).map { _ in
      var sum: Float = 0
      for _ in 0..<4 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        sum += Float(state >> 40) / Float(1 << 24) - 0.5
      }
      return sum * scale * 1.7
    }
  }
}

extension CPUBackend {
  func random(_ shape: Shape, seed: UInt64, scale: Float = 1) -> Tensor {
    Tensor(Tensor.values(shape, seed: seed, scale: scale), shape: shape, on: self)
  }
}
