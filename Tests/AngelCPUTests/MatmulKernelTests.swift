import AngelCore
import CAngelKernels
import Testing

private typealias Reference = BlockReference

/// Whole blocks of a dtype: its smallest depth, and one with several blocks that is not a round number of them.
private func depths(_ dtype: DType) -> [Int] {
  switch dtype.blockElements {
  case 1: [1, 7, 64, 259]
  case 32: [32, 96, 544]
  default: [256, 768]
  }
}

@Suite struct PackingTests {
  @Test("Packed weights dequantise to the values of the file format", arguments: Reference.weightDTypes)
  func dequantizes(_ dtype: DType) {
    for columns in [1, 15, 17, 100] {
      for depth in depths(dtype).prefix(3) {
        let weight = PackedWeight(dtype, columns: columns, depth: depth, parts: 3)
        let tokens = (0..<Int32(columns)).reversed()
        #expect(weight.embedded(Array(tokens), parts: 2) == weight.values.reversed().flatMap { $0 })
      }
    }
  }

  @Test("A row order chooses source rows", arguments: [DType.float32, .bfloat16, .q4_0, .q6_K])
  func reorders(_ dtype: DType) {
    let order: [Int32] = [3, 0, 2, 1, 17, 16, 4]
    let source = PackedWeight(dtype, columns: 18, depth: 256)
    var bytes = PackedWeight(dtype, columns: 18, depth: 256, rowOrder: (0..<18).reversed()).values
    bytes.reverse()
    #expect(bytes == source.values)
    let full = order + (0..<18).filter { !order.contains($0) }
    let weight = PackedWeight(dtype, columns: 18, depth: 256, rowOrder: full)
    #expect(weight.embedded(Array(0..<18)) == full.flatMap { source.values[Int($0)] })
  }

  @Test("Every instruction set packs the same bytes, padding included", arguments: Reference.weightDTypes)
  func packsAlike(_ dtype: DType) {
    for (columns, depth) in [(16, depths(dtype)[0]), (37, depths(dtype)[1])] {
      var random = TestRandom(state: 3)
      let source = Reference.randomBytes(dtype, count: columns * depth, using: &random)
      let byteCount = Int(angel_packed_bytes(angel_dtype(dtype), Int64(columns), Int64(depth)))
      let packed = everyVariant(ANGEL_FAMILY_pack, angel_dtype(dtype)) {
        (run: (angel_pack_arguments) -> Void) in
        TestMemory.scope { memory in
          let target = memory.room(byteCount, of: UInt8(0xA5))
          run(
            angel_pack_arguments(
              source: memory.copy(source), target: target, row_order: nil, columns: Int64(columns),
              depth: Int64(depth)))
          return array(target, byteCount)
        }
      }
      #expect(packed.contains { $0 != 0xA5 })
    }
  }

  @Test("Sizes that cannot be packed are refused")
  func refuses() {
    #expect(angel_packed_bytes(ANGEL_Q4_0, 16, 33) == -1)
    #expect(angel_packed_bytes(ANGEL_Q4_K, 16, 32) == -1)
    #expect(angel_packed_bytes(ANGEL_I32, 16, 32) == -1)
    #expect(angel_packed_bytes(ANGEL_F32, -1, 32) == -1)
    #expect(angel_packed_bytes(ANGEL_F32, .max, 1 << 20) == -1)
    #expect(angel_packed_bytes(ANGEL_F32, 1 << 20, .max) == -1)
    #expect(angel_packed_bytes(ANGEL_Q4_0, 17, 64) == 2 * 2 * 288)
    #expect(angel_packed_bytes(ANGEL_F16, 1, 3) == 128)
  }
}

@Suite struct QuantizeRowsTests {
  @Test("Quants, scales and sums follow their definition", arguments: supportedSets.map(\.rawValue))
  func definition(_ isa: UInt8) {
    var random = TestRandom(state: 5)
    let values = (0..<3 * 96).map { _ in random.unitFloat() * 3 }
    let rows = Activations(depth: 96, values: values, isa: angel_isa(rawValue: isa))
    for row in 0..<3 {
      for block in 0..<3 {
        let x = values[row * 96 + block * 32..<row * 96 + block * 32 + 32]
        let largest = x.map(abs).max() ?? 0
        #expect(rows.scale(row, block: block) == largest / 127)
        let expected = x.map { Int(($0 * (127 / largest)).rounded(.toNearestOrEven)) }
        #expect((0..<32).map { rows.quant(row, block * 32 + $0) } == expected)
        #expect(rows.sum(row, half: 2 * block) == expected[..<16].reduce(0, +))
        #expect(rows.sum(row, half: 2 * block + 1) == expected[16...].reduce(0, +))
      }
    }
  }

  @Test("Zeros and vanishing values give scale 0, non-finite ones NaN", arguments: supportedSets.map(\.rawValue))
  func extremes(_ isa: UInt8) {
    for (value, isNaN) in [
      (Float(0), false), (.leastNonzeroMagnitude * 4096, false), (.infinity, true), (.nan, true), (-.infinity, true),
    ] {
      var values = [Float](repeating: 0, count: 32)
      values[17] = value
      let row = Activations(depth: 32, values: values, isa: angel_isa(rawValue: isa))
      #expect(row.scale(0, block: 0).isNaN == isNaN)
      #expect(isNaN || row.scale(0, block: 0) == 0)
      #expect((0..<32).allSatisfy { row.quant(0, $0) == 0 })
      #expect(row.sum(0, half: 0) == 0 && row.sum(0, half: 1) == 0)
    }
  }
}

@Suite struct MatmulKernelTests {
  private static let bias: [Float] = (0..<128).map { Float($0 % 7) / 4 - 1 }

  /// The largest difference from a float64 product, relative to the sum of magnitudes.
  private func worstError(_ weight: PackedWeight, _ input: Activations, isInt8: Bool) -> Double {
    let product = weight.product(
      input, bias: Self.bias, Launch(rows: input.rows, isInt8: isInt8))
    var worst = 0.0
    for row in 0..<input.rows {
      let x = (0..<weight.depth).map { k in
        isInt8
          ? Double(input.quant(row, k)) * Double(input.scale(row, block: k / 32))
          : Double(input.values[row * weight.depth + k])
      }
      for column in 0..<weight.columns {
        let w = weight.values[column]
        var (sum, magnitude) = (Double(Self.bias[column]), abs(Double(Self.bias[column])) + 1e-9)
        for k in 0..<weight.depth {
          sum += x[k] * Double(w[k])
          magnitude += abs(x[k] * Double(w[k]))
        }
        let value = Double(Float(bitPattern: product[row * weight.columns + column]))
        worst = max(worst, value.isFinite ? abs(value - sum) / magnitude : .infinity)
      }
    }
    return worst
  }

  @Test("Float32 products agree with float64", arguments: Reference.weightDTypes)
  func agreesWithFloat64(_ dtype: DType) {
    for (columns, depth) in zip([1, 15, 17, 100], depths(dtype) + [depths(dtype)[0]]) {
      let weight = PackedWeight(dtype, columns: columns, depth: depth)
      #expect(worstError(weight, Activations(rows: 3, depth: depth), isInt8: false) < 2e-6)
    }
  }

  @Test(
    "Int8 products agree with float64 of the quantised rows", arguments: Reference.weightDTypes.filter(\.isQuantized))
  func int8AgreesWithFloat64(_ dtype: DType) {
    for (columns, depth) in zip([1, 15, 17, 100], depths(dtype) + [depths(dtype)[0]]) {
      let weight = PackedWeight(dtype, columns: columns, depth: depth)
      #expect(worstError(weight, Activations(rows: 3, depth: depth), isInt8: true) < 2e-6)
    }
  }

  @Test("A row's result is the same bits for any set, rows, parts and threads", arguments: Reference.weightDTypes)
  func bitEqual(_ dtype: DType) throws {
    let pool = try #require(angel_pool_create(2))
    defer { angel_pool_destroy(pool) }
    let depth = try #require(depths(dtype).last)
    let weight = PackedWeight(dtype, columns: 100, depth: depth)
    let input = Activations(rows: 512, depth: depth)
    for isInt8 in dtype.isQuantized ? [false, true] : [false] {
      let expected = weight.product(
        input, bias: Self.bias, Launch(isa: ANGEL_ISA_SCALAR, rows: 32, isInt8: isInt8))
      for isa in supportedSets {
        // 16 and 17 lie on both sides of the streaming limit, 265 and 512 take more than one block of rows.
        for (rows, parts) in [(1, 1), (1, 5), (2, 2), (7, 5), (16, 1), (17, 2), (32, 2), (265, 2), (512, 1)]
          as [(Int, Int32)]
        where isa != ANGEL_ISA_SCALAR || rows < 32 {
          var how = Launch(isa: isa, rows: rows, parts: parts, isInt8: isInt8)
          let alone = weight.product(input, bias: Self.bias, how)
          #expect(alone.prefix(3200) == expected.prefix(alone.count), "\(isa) \(rows) rows, \(parts) parts")
          how.pool = pool
          how.parts = 5
          #expect(weight.product(input, bias: Self.bias, how) == alone, "\(isa) \(rows) rows on two threads")
        }
        // The seventh row alone, and as any of a tile's odd rows.
        for rows in [1, 3, 5] {
          let how = Launch(isa: isa, rows: rows, firstRow: 7, isInt8: isInt8)
          #expect(weight.product(input, bias: Self.bias, how).prefix(100) == expected[700..<800])
        }
      }
    }
  }

  @Test(
    "The greatest and the least quants with the greatest activations are the same bits on every set",
    arguments: Reference.weightDTypes.filter(\.isQuantized))
  func extremes(_ dtype: DType) {
    let depth = max(256, depths(dtype)[0])
    var random = TestRandom(state: 5)
    let ordinary = BlockReference.randomBytes(dtype, count: 20 * depth, using: &random)
    // Rows whose every quant is 127, or -127, or one and the other in turn, in pairs and by eights.
    let signs: [(Int) -> Bool] = [
      { _ in true }, { _ in false }, { $0 % 2 == 0 }, { $0 / 2 % 2 == 0 }, { $0 / 8 % 2 == 0 },
    ]
    let values = (signs + signs.prefix(2)).flatMap { isPositive in
      (0..<depth).map { Float(isPositive($0) ? 1 : -1) }
    }
    let input = Activations(depth: depth, values: values)
    for fill in [UInt8(0), 0xFF] {
      let source = BlockReference.filled(ordinary, dtype, with: fill)
      let weight = PackedWeight(dtype, source: source, columns: 20, depth: depth)
      for rows in [1, 2, 3, 4, 7] {
        let expected = weight.product(input, bias: nil, Launch(isa: ANGEL_ISA_SCALAR, rows: rows, isInt8: true))
        for isa in supportedSets {
          #expect(weight.product(input, bias: nil, Launch(isa: isa, rows: rows, isInt8: true)) == expected, "\(isa)")
        }
      }
      #expect(worstError(weight, input, isInt8: true) < 2e-6)
    }
  }

  @Test("Odd widths and a missing bias are the same bits on every set", arguments: Reference.weightDTypes)
  func oddShapes(_ dtype: DType) {
    for columns in [1, 15, 17, 49] {
      for depth in depths(dtype) {
        let weight = PackedWeight(dtype, columns: columns, depth: depth)
        let input = Activations(rows: 9, depth: depth)
        for isInt8 in dtype.isQuantized ? [false, true] : [false] {
          let scalar = Launch(isa: ANGEL_ISA_SCALAR, rows: 9, isInt8: isInt8)
          let expected = weight.product(input, bias: nil, scalar)
          for isa in supportedSets {
            let how = Launch(isa: isa, rows: 9, parts: 2, isInt8: isInt8)
            #expect(weight.product(input, bias: nil, how) == expected, "\(isa) \(columns) x \(depth)")
          }
        }
      }
    }
  }

  @Test("Non-finite activations reach the output of their row alone")
  func nonFinite() {
    var values = [Float](repeating: 1, count: 3 * 64)
    values[64 + 40] = .infinity
    let weight = PackedWeight(.q4_0, columns: 5, depth: 64)
    let product = weight.product(Activations(depth: 64, values: values), bias: nil, Launch(rows: 3, isInt8: true))
    let isNaN = product.map { Float(bitPattern: $0).isNaN }
    #expect(isNaN == (0..<15).map { (5..<10).contains($0) })
  }

  @Test("Dtypes without a kernel are not found")
  func unknownDTypes() {
    #expect(angel_kernel_lookup(ANGEL_FAMILY_matmul, ANGEL_INT8_ROWS, ANGEL_F32, ANGEL_NO_DTYPE) == nil)
    #expect(angel_kernel_lookup(ANGEL_FAMILY_matmul, ANGEL_F32, ANGEL_I32, ANGEL_NO_DTYPE) == nil)
    #expect(angel_kernel_lookup(ANGEL_FAMILY_matmul, ANGEL_F64, ANGEL_F64, ANGEL_NO_DTYPE) == nil)
    #expect(angel_kernel_lookup(ANGEL_FAMILY_embedding, ANGEL_INT8_ROWS, ANGEL_NO_DTYPE, ANGEL_NO_DTYPE) == nil)
    #expect(angel_kernel_lookup_for(angel_isa(rawValue: 77), ANGEL_FAMILY_pack, ANGEL_F32, ANGEL_F32, ANGEL_F32) == nil)
  }

  @Test("Dtype numbers are AngelCore's")
  func dtypeNumbers() {
    let pairs: [(DType, angel_dtype)] = [
      (.float64, ANGEL_F64), (.float32, ANGEL_F32), (.float16, ANGEL_F16), (.bfloat16, ANGEL_BF16), (.int64, ANGEL_I64),
      (.int32, ANGEL_I32), (.uint8, ANGEL_U8), (.int8Rows, ANGEL_INT8_ROWS), (.bfloat16Rows, ANGEL_BF16_ROWS),
      (.bfloat16_2of4, ANGEL_BF16_2OF4), (.q4_0_2of4, ANGEL_Q4_0_2OF4), (.q8_0_2of4, ANGEL_Q8_0_2OF4),
      (.q4_0, ANGEL_Q4_0), (.q4_1, ANGEL_Q4_1),
      (.q5_0, ANGEL_Q5_0), (.q5_1, ANGEL_Q5_1), (.q8_0, ANGEL_Q8_0), (.q4_K, ANGEL_Q4_K), (.q5_K, ANGEL_Q5_K),
      (.q6_K, ANGEL_Q6_K), (.q2_K, ANGEL_Q2_K), (.q3_K, ANGEL_Q3_K), (.iq4_NL, ANGEL_IQ4_NL),
      (.iq4_XS, ANGEL_IQ4_XS), (.tq1_0, ANGEL_TQ1_0), (.tq2_0, ANGEL_TQ2_0),
    ]
    #expect(pairs.count == DType.allCases.count)
    for (swift, c) in pairs { #expect(swift.rawValue == c.rawValue) }
  }
}
