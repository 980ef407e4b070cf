import AngelCore
import CAngelKernels
import Testing

/// Rows with two of every four elements zero at least, in the layout of a file, packed as dense and as 2:4.
private struct PrunedWeight {
  let dense: PackedWeight
  let sparse: PackedWeight
  let source: [UInt8]

  /// Quads have any two, one or none of their elements.
  static func source(_ dtype: DType, count: Int, using random: inout TestRandom) -> [UInt8] {
    var bytes = BlockReference.randomBytes(dtype, count: count, using: &random)
    for quad in 0..<count / 4 {
      var kept = Int(random.next() % 16)
      while kept.nonzeroBitCount > 2 { kept = Int(random.next() % 16) }
      for place in 0..<4 where kept >> place & 1 == 0 { clear(4 * quad + place, dtype, &bytes) }
    }
    return bytes
  }

  static func clear(_ element: Int, _ dtype: DType, _ bytes: inout [UInt8]) {
    let (block, e) = (element / 32 * dtype.byteCount(of: 32), element % 32)
    switch dtype {
    case .bfloat16: (bytes[block + 2 * e], bytes[block + 2 * e + 1]) = (0, 0)
    case .q8_0: bytes[block + 2 + e] = 0
    default:
      let place = block + 2 + e % 16
      bytes[place] = e < 16 ? bytes[place] & 0xF0 | 8 : bytes[place] & 0x0F | 0x80
    }
  }

  init(_ dtype: DType, columns: Int, depth: Int, fill: UInt8? = nil) throws {
    var random = TestRandom(state: 11)
    var source = Self.source(dtype, count: columns * depth, using: &random)
    if let fill {
      source = BlockReference.filled(source, dtype, with: fill)
      for element in 0..<columns * depth where element % 4 == element / 4 % 4 || element % 4 == (element / 4 + 1) % 4 {
        Self.clear(element, dtype, &source)
      }
    }
    self.source = source
    dense = PackedWeight(dtype, source: source, columns: columns, depth: depth)
    // The reference reads what a file holds, which is dense.
    sparse = PackedWeight(try #require(dtype.twoOfFour), source: source, columns: columns, depth: depth)
  }
}

private let prunedDTypes: [DType] = [.q8_0, .q4_0, .bfloat16]

@Suite struct TwoOfFourKernelTests {
  private static let bias: [Float] = (0..<128).map { Float($0 % 7) / 4 - 1 }

  @Test("2:4 panels hold the values of the file in 22 of 34, 14 of 18 and 36 of 64 bytes", arguments: prunedDTypes)
  func values(_ dtype: DType) throws {
    for (columns, depth) in [(1, 32), (17, 96), (100, 544)] {
      let weight = try PrunedWeight(dtype, columns: columns, depth: depth)
      let tokens = (0..<Int32(columns)).reversed()
      #expect(weight.sparse.embedded(Array(tokens), parts: 2) == weight.dense.values.reversed().flatMap { $0 })
      let ratio = Double(weight.sparse.packed.count) / Double(weight.dense.packed.count)
      #expect(ratio == [.q8_0: 22.0 / 34, .q4_0: 14.0 / 18, .bfloat16: 36.0 / 64][dtype])
    }
    #expect(angel_packed_bytes(angel_dtype(try #require(dtype.twoOfFour)), 16, 36) == -1)
  }

  @Test("Products with int8 rows have the bits of the dense ones, on every set", arguments: [DType.q8_0, .q4_0])
  func int8(_ dtype: DType) throws {
    for (columns, depth) in [(1, 32), (15, 96), (17, 2048), (100, 544)] {
      let weight = try PrunedWeight(dtype, columns: columns, depth: depth)
      let input = Activations(rows: 300, depth: depth)
      for isInt8 in [true, false] {
        for rows in [1, 2, 3, 4, 7, 12, 13, 33, 300] {
          let expected = weight.dense.product(input, bias: Self.bias, Launch(rows: rows, isInt8: isInt8))
          for isa in supportedSets where isa != ANGEL_ISA_SCALAR || rows < 14 {
            for parts in [Int32(1), 3] {
              let how = Launch(isa: isa, rows: rows, parts: parts, isInt8: isInt8)
              #expect(
                weight.sparse.product(input, bias: Self.bias, how) == expected, "\(isa) \(columns)x\(depth), \(rows)")
            }
          }
        }
        // The seventh row alone.
        let expected = weight.dense.product(input, bias: nil, Launch(rows: 8, isInt8: isInt8))
        let alone = weight.sparse.product(input, bias: nil, Launch(rows: 1, firstRow: 7, isInt8: isInt8))
        #expect(Array(expected.suffix(columns)) == alone)
      }
    }
  }

  @Test("So have those of the greatest and the least quants", arguments: [DType.q8_0, .q4_0])
  func extremes(_ dtype: DType) throws {
    let input = Activations(depth: 256, values: (0..<5 * 256).map { $0 / 256 % 2 == 0 || $0 % 3 == 0 ? 1 : -1 })
    for fill in [UInt8(0), 0xFF, 0x80, 0x7F] {
      let weight = try PrunedWeight(dtype, columns: 20, depth: 256, fill: fill)
      for rows in 1...5 {
        let expected = weight.dense.product(
          input, bias: nil, Launch(isa: ANGEL_ISA_SCALAR, rows: rows, isInt8: true))
        for isa in supportedSets {
          #expect(weight.sparse.product(input, bias: nil, Launch(isa: isa, rows: rows, isInt8: true)) == expected)
        }
      }
    }
  }

  @Test("Products of bfloat16 have the bits of the dense ones, rounded or not, on every set and on two threads")
  func bfloat16() throws {
    let pool = try #require(angel_pool_create(2))
    defer { angel_pool_destroy(pool) }
    for (columns, depth) in [(1, 32), (17, 96), (100, 544), (33, 2048)] {
      let weight = try PrunedWeight(.bfloat16, columns: columns, depth: depth)
      let input = Activations(rows: 140, depth: depth)
      for rows in [1, 2, 5, 6, 7, 13, 140] {
        for third in [ANGEL_NO_DTYPE, ANGEL_BF16] {
          for isa in supportedSets where isa != ANGEL_ISA_SCALAR || rows < 14 {
            let expected = product(weight.dense, input, rows, isa, third)
            #expect(product(weight.sparse, input, rows, isa, third) == expected, "\(isa) \(columns)x\(depth), \(rows)")
          }
          let expected = product(weight.dense, input, rows, angel_isa_current(), third)
          #expect(product(weight.sparse, input, rows, angel_isa_current(), third, on: pool) == expected)
        }
        let expected = weight.dense.product(input, bias: Self.bias, Launch(rows: rows))
        #expect(weight.sparse.product(input, bias: Self.bias, Launch(rows: rows)) == expected)
      }
    }
  }

  private func product(
    _ weight: PackedWeight, _ input: Activations, _ rows: Int, _ isa: angel_isa, _ third: angel_dtype,
    on pool: OpaquePointer? = nil
  ) -> [UInt32] {
    TestMemory.scope { memory in
      let rounded = memory.room(rows * Int(angel_bf16_row_bytes(Int64(weight.depth))), of: UInt8(0xA5))
      launch(
        angel_kernel_lookup(ANGEL_FAMILY_quantize_rows, ANGEL_F32, ANGEL_BF16_ROWS, ANGEL_NO_DTYPE),
        angel_quantize_rows_arguments(
          input: memory.copy(input.values), output: rounded, rows: Int64(rows), depth: Int64(weight.depth)))
      let output = memory.room(rows * weight.columns, of: Float(7))
      launch(
        angel_kernel_lookup_for(isa, ANGEL_FAMILY_matmul, ANGEL_BF16_ROWS, angel_dtype(weight.dtype), third),
        angel_matmul_arguments(
          input: rounded, weight: weight.packed.address, bias: memory.copy(Self.bias), output: output,
          rows: Int64(rows), depth: Int64(weight.depth), columns: Int64(weight.columns), accumulates: 0),
        parts: 3, on: pool)
      return array(output, rows * weight.columns).map(\.bitPattern)
    }
  }

  @Test("Rows are told that keep to the pattern, and those where one quad does not", arguments: prunedDTypes)
  func pattern(_ dtype: DType) throws {
    let (rows, depth) = (9, 96)
    var random = TestRandom(state: 3)
    var source = PrunedWeight.source(dtype, count: rows * depth, using: &random)
    let broken = [2, 8]
    for row in broken {
      // Three of the last quad.
      let ones = BlockReference.filled(
        BlockReference.randomBytes(dtype, count: 32, using: &random), dtype, with: 0x11)
      let block = (row + 1) * dtype.byteCount(of: depth) - dtype.byteCount(of: 32)
      for place in ones.indices { source[block + place] = dtype == .bfloat16 ? 0x3F : ones[place] }
      for element in 0..<32 where element < 28 || element == 29 {
        PrunedWeight.clear((row + 1) * depth - 32 + element, dtype, &source)
      }
    }
    let flags: [UInt8] = everyVariant(ANGEL_FAMILY_two_of_four, angel_dtype(dtype)) { run in
      TestMemory.scope { memory in
        let flags = memory.room(rows, of: UInt8(9))
        run(
          angel_two_of_four_arguments(
            source: memory.copy(source), flags: flags, rows: Int64(rows), depth: Int64(depth)))
        return array(flags, rows)
      }
    }
    #expect(flags == (0..<rows).map { broken.contains($0) ? 0 : 1 })
  }

  @Test("Of every four the two stay that matter most, the first of equals", arguments: [false, true])
  func prunes(byInputs: Bool) {
    let (rows, width) = (5, 76)
    var random = TestRandom(state: 21)
    // On a coarse grid, so that there are equals.
    let weight = (0..<rows * width).map { _ in (random.unitFloat() * 6).rounded() / 6 }
    let importance = (0..<width).map { _ in Float(random.next() % 4) }
    let pruned: [Float] = everyVariant(ANGEL_FAMILY_prune, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(weight.count, of: Float.nan)
        run(
          angel_prune_arguments(
            input: memory.copy(weight), importance: byInputs ? UnsafePointer(memory.copy(importance)) : nil,
            output: output, rows: Int64(rows), width: Int64(width)))
        return array(output, weight.count)
      }
    }
    for quad in stride(from: 0, to: weight.count, by: 4) {
      let scores = (0..<4).map {
        abs(weight[quad + $0]) * (byInputs ? importance[(quad + $0) % width].squareRoot() : 1)
      }
      let kept = Set((0..<4).sorted { (scores[$1], $0) < (scores[$0], $1) }.prefix(2))
      #expect(
        (0..<4).map { pruned[quad + $0] } == (0..<4).map { kept.contains($0) ? weight[quad + $0] : 0 }, "\(quad)")
    }
  }
}
