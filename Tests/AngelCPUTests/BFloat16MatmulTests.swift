import AngelCore
import AngelTesting
import CAngelKernels
import Testing

/// Rows of float32 rounded to bfloat16 by the kernel, against a packed bfloat16 weight.
private struct BFloat16Product {
  let weight: PackedWeight
  let values: [Float]
  let rounded: AlignedBytes
  var rowBytes: Int { Int(angel_bf16_row_bytes(Int64(weight.depth))) }

  init(_ weight: PackedWeight, _ values: [Float]) {
    self.weight = weight
    self.values = values
    let rows = values.count / weight.depth
    rounded = AlignedBytes(count: rows * Int(angel_bf16_row_bytes(Int64(weight.depth))))
    let target = rounded.address
    values.withUnsafeBufferPointer {
      let arguments = angel_quantize_rows_arguments(
        input: $0.baseAddress, output: target, rows: Int64(rows), depth: Int64(weight.depth))
      launch(
        angel_kernel_lookup(ANGEL_FAMILY_quantize_rows, ANGEL_F32, ANGEL_BF16_ROWS, ANGEL_NO_DTYPE), arguments)
    }
  }

  /// A random weight and random rows.
  init(columns: Int, depth: Int, rows: Int) {
    var random = TestRandom(state: 9)
    self.init(
      PackedWeight(.bfloat16, columns: columns, depth: depth), (0..<rows * depth).map { _ in random.unitFloat() })
  }

  /// Activation `k` of a row as it was rounded.
  func activation(_ row: Int, _ k: Int) -> Float {
    Float(
      bitPattern: UInt32(rounded.address.load(fromByteOffset: row * rowBytes + 2 * k, as: UInt16.self)) << 16)
  }

  func output(_ how: Launch, bias: [Float]? = nil) -> [UInt32] {
    var output = [Float](repeating: .nan, count: how.rows * weight.columns)
    let kernel = angel_kernel_lookup_for(
      how.isa, ANGEL_FAMILY_matmul, ANGEL_BF16_ROWS, ANGEL_BF16, ANGEL_NO_DTYPE)
    (bias ?? []).withUnsafeBufferPointer { biases in
      output.withUnsafeMutableBufferPointer { output in
        let arguments = angel_matmul_arguments(
          input: rounded.address + how.firstRow * rowBytes, weight: weight.packed.address,
          bias: bias == nil ? nil : biases.baseAddress, output: output.baseAddress, rows: Int64(how.rows),
          depth: Int64(weight.depth), columns: Int64(weight.columns), accumulates: 0)
        launch(kernel, arguments, parts: how.parts, on: how.pool)
      }
    }
    return bits(output)
  }
}

extension BFloat16Product {
  fileprivate func roundedOutput(_ isa: angel_isa, rows: Int, parts: Int32, bias: [Float]?) -> [UInt16] {
    var output = [UInt16](repeating: 0xA5A5, count: rows * weight.columns)
    let kernel = angel_kernel_lookup_for(isa, ANGEL_FAMILY_matmul, ANGEL_BF16_ROWS, ANGEL_BF16, ANGEL_BF16)
    (bias ?? []).withUnsafeBufferPointer { biases in
      output.withUnsafeMutableBytes { output in
        let arguments = angel_matmul_arguments(
          input: rounded.address, weight: weight.packed.address, bias: bias == nil ? nil : biases.baseAddress,
          output: output.baseAddress?.assumingMemoryBound(to: Float.self), rows: Int64(rows),
          depth: Int64(weight.depth), columns: Int64(weight.columns), accumulates: 0)
        launch(kernel, arguments, parts: parts)
      }
    }
    return output
  }
}

extension BFloat16Product {
  /// What tiles give.
  fileprivate func tiled(rows: Int, bias: [Float]? = nil) -> [UInt32] {
    (0..<rows).flatMap { row in
      let activations = (0..<weight.depth).map { activation(row, $0) }
      return weight.values.enumerated().map { column, values in
        let sum = TileOrder.sum(values, activations)
        return (bias.map { sum + $0[column] } ?? sum).bitPattern
      }
    }
  }

  /// The first `rows` rows, in the order of an instruction set.
  fileprivate func expected(_ isa: angel_isa, rows: Int, bias: [Float]? = nil) -> [UInt32] {
    if isa == ANGEL_ISA_AMX { return tiled(rows: rows, bias: bias) }
    return output(Launch(isa: ANGEL_ISA_SCALAR, rows: rows), bias: bias)
  }
}

@Suite struct BFloat16RowsTests {
  @Test("Rows are rounded half to even and padded with zeros")
  func rounds() {
    let values: [Float] = [
      1, 1.00390625, 1.01171875, -1.001, 0, -0.0, Float(bitPattern: 0x0001_16C2), .infinity, .greatestFiniteMagnitude,
      Float(bitPattern: 0x0020_AAE6),
    ]
    let expected: [UInt16] = [
      0x3F80, 0x3F80, 0x3F82, 0xBF80, 0, 0x8000, 1, 0x7F80, 0x7F80, 0x0021,
    ]
    let rounded = everyVariant(ANGEL_FAMILY_quantize_rows, ANGEL_F32, ANGEL_BF16_ROWS) {
      (run: (angel_quantize_rows_arguments) -> Void) in
      TestMemory.scope { memory in
        let output = memory.room(4 * 32, of: UInt16(0xA5A5))
        run(
          angel_quantize_rows_arguments(
            input: memory.copy(values + [Float](repeating: .nan, count: 10) + values + values), output: output, rows: 4,
            depth: 10))
        return array(output, 4 * 32)
      }
    }
    for row in [0, 2, 3] { #expect(Array(rounded[32 * row..<32 * row + 10]) == expected) }
    #expect(rounded[32..<42].allSatisfy { $0 & 0x7F80 == 0x7F80 && $0 & 0x7F != 0 })
    for row in 0..<4 { #expect(rounded[32 * row + 10..<32 * row + 32].allSatisfy { $0 == 0 }) }
  }
}

@Suite struct BFloat16MatmulTests {
  private static let bias: [Float] = (0..<128).map { Float($0 % 7) / 4 - 1 }

  @Test("Products agree with float64 of the rounded rows", arguments: [1, 2, 7, 64, 259, 576])
  func agreesWithFloat64(_ depth: Int) {
    let product = BFloat16Product(columns: 49, depth: depth, rows: 3)
    let output = product.output(Launch(rows: 3), bias: Self.bias)
    for row in 0..<3 {
      for column in 0..<49 {
        var (sum, magnitude) = (Double(Self.bias[column]), abs(Double(Self.bias[column])) + 1e-9)
        for k in 0..<depth {
          let term = Double(product.activation(row, k)) * Double(product.weight.values[column][k])
          sum += term
          magnitude += abs(term)
        }
        #expect(abs(Double(Float(bitPattern: output[row * 49 + column])) - sum) / magnitude < 2e-6)
      }
    }
  }

  @Test("A row's result is the same bits for any rows, parts, threads and sets of one order", arguments: [576, 1025])
  func bitEqual(_ depth: Int) throws {
    let pool = try #require(angel_pool_create(2))
    defer { angel_pool_destroy(pool) }
    let product = BFloat16Product(columns: 100, depth: depth, rows: 300)
    for isa in supportedSets {
      let expected = product.expected(isa, rows: 13, bias: Self.bias)
      // Six rows (32 in tiles) are streamed, more are blocked; 300 take more than one block of rows.
      for (rows, parts) in [
        (1, 1), (1, 5), (2, 2), (5, 3), (6, 2), (7, 5), (13, 1), (16, 2), (17, 1), (33, 2), (133, 2), (300, 3),
      ]
        as [(Int, Int32)]
      where isa != ANGEL_ISA_SCALAR || rows <= 13 {
        var how = Launch(isa: isa, rows: rows, parts: parts)
        let alone = product.output(how, bias: Self.bias)
        #expect(alone.prefix(1300) == expected.prefix(alone.count), "\(isa) \(rows) rows, \(parts) parts")
        how.pool = pool
        how.parts = 5
        #expect(product.output(how, bias: Self.bias) == alone, "\(isa) \(rows) rows on two threads")
      }
      for rows in [1, 3, 5] {
        let how = Launch(isa: isa, rows: rows, firstRow: 7)
        #expect(product.output(how, bias: Self.bias).prefix(100) == expected[700..<800])
      }
    }
  }

  @Test("Odd widths and a missing bias are the same bits on every set", arguments: [1, 15, 17, 49, 65])
  func oddShapes(_ columns: Int) {
    for depth in [1, 2, 7, 193] {
      let product = BFloat16Product(columns: columns, depth: depth, rows: 9)
      for isa in supportedSets {
        let expected = product.expected(isa, rows: 9)
        #expect(product.output(Launch(isa: isa, rows: 9, parts: 2)) == expected, "\(isa) \(columns) x \(depth)")
      }
    }
  }

  /// One column: the pairs of `terms`, of which the second, odd one is added first.
  private func sums(_ activations: [Float], _ weights: [Float], inTiles: Bool = false) -> [UInt32] {
    let bytes = weights.flatMap { weight in withUnsafeBytes(of: weight.bitPattern.littleEndian) { Array($0[2...]) } }
    let weight = PackedWeight(.bfloat16, source: bytes, columns: 1, depth: weights.count)
    let product = BFloat16Product(weight, activations)
    return supportedSets.filter { ($0 == ANGEL_ISA_AMX) == inTiles }.map { product.output(Launch(isa: $0, rows: 1))[0] }
  }

  @Test("The odd element of a pair comes first, each product in one rounding")
  func order() {
    // 2^24 + 1 rounds to 2^24: one order loses the one, the other keeps it.
    #expect(Set(sums([1, 1, -1, 0], [1, 0x1p24, 0x1p24, 0])) == [Float(0).bitPattern])
    #expect(Set(sums([1, 1, 0, -1], [0x1p24, 1, 0, 0x1p24])) == [Float(0).bitPattern])
    #expect(Set(sums([-1, 1, 1, 0], [0x1p24, 0x1p24, 1, 0])) == [Float(1).bitPattern])
    // (1 + 2^-7)^2 = 1 + 2^-6 + 2^-14: all of it arrives.
    #expect(Set(sums([-1, 1.0078125], [1, 1.0078125])) == [Float(0x1p-6 + 0x1p-14).bitPattern])
  }

  @Test("In tiles even and odd elements are summed apart, and what is subnormal there counts as zero")
  func orderOfTiles() {
    func expect(_ activations: [Float], _ weights: [Float], _ sum: Float) {
      #expect(TileOrder.sum(weights, activations).bitPattern == sum.bitPattern)
      for bits in sums(activations, weights, inTiles: true) { #expect(bits == sum.bitPattern) }
    }
    // One order loses the one, as above; here it is summed with what takes 2^24 away again.
    expect([1, 1, -1, 0], [1, 0x1p24, 0x1p24, 0], 1)
    expect([1, 1, 0, -1], [0x1p24, 1, 0, 0x1p24], 1)
    expect([-1, 1.0078125], [1, 1.0078125], 0x1p-6 + 0x1p-14)
    // The next tile begins anew: 2^24 + 1 is lost there.
    let zeros = [Float](repeating: 0, count: 30)
    expect([1, 0] + zeros + [1, 0], [0x1p24, 0] + zeros + [1, 0], 0x1p24)
    expect([0x1p-64, 0], [-0x1p-64, 0], 0)
    expect([-0x1.8p-76, 0x1p-63], [0x1p-75, 0x1p-63], 0x1p-126)
    expect([0x1p-127, 0], [1, 0], 0)
  }

  @Test("Subnormal weights, activations and sums count as zero")
  func flushes() {
    #expect(Set(sums([1, 0], [0x1p-127, 0])) == [0])
    #expect(Set(sums([0x1p-127, 0], [1, 0])) == [0])
    #expect(Set(sums([0x1p-64, 0], [-0x1p-64, 0])) == [Float(-0.0).bitPattern])
    #expect(Set(sums([0x1p-63, 0], [0x1p-63, 0])) == [Float(0x1p-126).bitPattern])
    // Just below 2^-126: the first rounds to it with 24 bits, the second does so only with the 23 of a subnormal.
    #expect(Set(sums([-0x1p-76, 0x1p-63], [0x1p-75, 0x1p-63])) == [Float(0x1p-126).bitPattern])
    #expect(Set(sums([-0x1.8p-76, 0x1p-63], [0x1p-75, 0x1p-63])) == [0])
  }

  @Test("Non-finite activations reach the output of their row alone")
  func nonFinite() {
    var values = [Float](repeating: 1, count: 3 * 64)
    values[64 + 40] = .nan
    let product = BFloat16Product(PackedWeight(.bfloat16, columns: 5, depth: 64), values)
    for isa in supportedSets {
      let isNaN = product.output(Launch(isa: isa, rows: 3)).map { Float(bitPattern: $0).isNaN }
      #expect(isNaN == (0..<15).map { (5..<10).contains($0) })
    }
  }

  @Test("Output asked for in bfloat16 is the float32 output, bias included, rounded once", arguments: [1, 16, 65])
  func roundedOutput(_ columns: Int) {
    let product = BFloat16Product(columns: columns, depth: 70, rows: 9)
    let bias = (0..<columns).map { Float($0) * 0.3 - 1 }
    for bias in [nil, bias] {
      for isa in supportedSets {
        let exact = product.output(Launch(isa: isa, rows: 9), bias: bias)
        let expected = exact.map { UInt16(truncatingIfNeeded: ($0 + 0x7FFF + ($0 >> 16 & 1)) >> 16) }
        for parts: Int32 in [1, 3] {
          #expect(product.roundedOutput(isa, rows: 9, parts: parts, bias: bias) == expected, "\(isa) in \(parts) parts")
        }
      }
    }
  }

  @Test("Weights of other dtypes have no kernel for such rows", arguments: [DType.float32, .float16, .q8_0, .q6_K])
  func otherWeights(_ dtype: DType) {
    #expect(angel_kernel_lookup(ANGEL_FAMILY_matmul, ANGEL_BF16_ROWS, angel_dtype(dtype), ANGEL_NO_DTYPE) == nil)
  }
}
