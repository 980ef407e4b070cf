import AngelCore
import CAngelKernels
import Testing

@Suite struct LowRankKernelTests {
  /// An adapter's values, of which the kernel gets both padded.
  private struct Adapter {
    let rank: Int
    let dtype: DType
    let down: [Float]
    let up: [Float]
    var scales: [Float]?
  }

  private let sizes = (inputs: 37, outputs: 83)

  private func adapters(_ random: inout TestRandom) -> [Adapter] {
    [(16, DType.float32), (3, .bfloat16), (70, .float16), (0, .float32)].enumerated().map { index, kind in
      Adapter(
        rank: kind.0, dtype: kind.1, down: random.floats(kind.0 * sizes.inputs),
        up: random.floats(kind.0 * sizes.outputs),
        scales: index == 1 ? random.floats(sizes.outputs) : nil)
    }
  }

  /// The bits of the output; `over` writes it over the product.
  private func kernel(
    _ input: [Float], _ product: [Float], _ bias: [Float]?, _ adapters: [Adapter], _ rows: [Int32], over: Bool = false
  ) -> [UInt32] {
    everyVariant(ANGEL_FAMILY_low_rank, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let entries = adapters.map { adapter -> angel_low_rank_adapter in
          var entry = angel_low_rank_adapter()
          entry.down = downPacked(adapter, memory)
          entry.up = upPacked(adapter, memory)
          entry.scales = adapter.scales.map { UnsafePointer(memory.copy($0)) }
          entry.scale = 0.5
          entry.rank = Int32(adapter.rank)
          entry.dtype = Int32(adapter.dtype.rawValue)
          return entry
        }
        let start = memory.copy(product)
        let output = over ? start : memory.room(product.count, of: Float.nan)
        run(
          angel_low_rank_arguments(
            input: memory.copy(input), product: start, bias: bias.map { UnsafePointer(memory.copy($0)) },
            output: output,
            adapters: memory.copy(entries), row_adapters: memory.copy(rows), rows: Int64(rows.count),
            inputs: Int64(sizes.inputs), outputs: Int64(sizes.outputs)))
        return bits(array(output, product.count))
      }
    }
  }

  /// A [rank, width] in groups of four lines, sixteen places of each in turn.
  private func downPacked(_ adapter: Adapter, _ memory: TestMemory) -> UnsafeRawPointer? {
    var packed: [Float] = []
    for group in stride(from: 0, to: adapter.rank, by: 4) {
      for start in stride(from: 0, to: sizes.inputs, by: 16) {
        for line in group..<group + 4 {
          for place in start..<start + 16 {
            let isReal = line < adapter.rank && place < sizes.inputs
            packed.append(isReal ? adapter.down[line * sizes.inputs + place] : 0)
          }
        }
      }
    }
    return held(packed, adapter.dtype, memory)
  }

  /// Bᵀ [rank, width] in strips of sixteen places, all lines of each.
  private func upPacked(_ adapter: Adapter, _ memory: TestMemory) -> UnsafeRawPointer? {
    var packed: [Float] = []
    for start in stride(from: 0, to: sizes.outputs, by: 16) {
      for line in 0..<adapter.rank {
        for place in start..<start + 16 {
          packed.append(place < sizes.outputs ? adapter.up[line * sizes.outputs + place] : 0)
        }
      }
    }
    return held(packed, adapter.dtype, memory)
  }

  private func held(_ values: [Float], _ dtype: DType, _ memory: TestMemory) -> UnsafeRawPointer? {
    guard !values.isEmpty else { return nil }
    switch dtype {
    case .bfloat16: return UnsafeRawPointer(memory.copy(values.map { UInt16(($0.bitPattern + 0x8000) >> 16) }))
    case .float16: return UnsafeRawPointer(memory.copy(values.map { half($0) }))
    default: return UnsafeRawPointer(memory.copy(values))
    }
  }

  /// A half-precision number next to a value of middling size.
  private func half(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let exponent = Int32((bits >> 23) & 0xFF) - 112
    guard exponent > 0 else { return UInt16(bits >> 16) & 0x8000 }
    let sign = UInt16((bits >> 16) & 0x8000)
    return sign | UInt16(exponent) << 10 | UInt16((bits >> 13) & 0x3FF)
  }

  @Test("rows have their own adapter's result, alone and among others, with and without bias, over the product too")
  func rows() {
    var random = TestRandom(state: 5)
    let adapters = adapters(&random)
    let rows: [Int32] = [0, 0, 0, 0, 0, 0, 1, 2, 2, -1, 3, 1, 0, -1, 2, 2, 2, 2, 2]
    let (input, product) = (random.floats(rows.count * sizes.inputs), random.floats(rows.count * sizes.outputs))
    let bias = random.floats(sizes.outputs)
    for bias in [bias, nil] {
      let together = kernel(input, product, bias, adapters, rows)
      #expect(kernel(input, product, bias, adapters, rows, over: true) == together)
      for row in rows.indices {
        let (x, y) = (row * sizes.inputs, row * sizes.outputs)
        let alone = kernel(
          Array(input[x..<x + sizes.inputs]), Array(product[y..<y + sizes.outputs]), bias, adapters, [rows[row]])
        #expect(alone == Array(together[y..<y + sizes.outputs]), "row \(row)")
        guard rows[row] == -1 || rows[row] == 3 else { continue }
        #expect(alone == bits((0..<sizes.outputs).map { product[y + $0] + (bias?[$0] ?? 0) }))
      }
    }
  }

  @Test("any number of rows of one adapter, in every type and rank, gives each the bits it has alone")
  func tiles() {
    var random = TestRandom(state: 6)
    for (index, rank) in [1, 3, 5, 8, 16, 21, 64, 67, 130].enumerated() {
      for dtype in [DType.float32, .bfloat16, .float16] {
        let adapter = Adapter(
          rank: rank, dtype: dtype, down: random.floats(rank * sizes.inputs), up: random.floats(rank * sizes.outputs),
          scales: index % 2 == 0 ? random.floats(sizes.outputs) : nil)
        let input = random.floats(35 * sizes.inputs), product = random.floats(35 * sizes.outputs)
        let alone = (0..<35).flatMap { row in
          kernel(
            Array(input[row * sizes.inputs..<(row + 1) * sizes.inputs]),
            Array(product[row * sizes.outputs..<(row + 1) * sizes.outputs]), nil, [adapter], [0])
        }
        for count in [2, 3, 4, 5, 6, 7, 16, 17, 35] {
          let together = kernel(
            Array(input.prefix(count * sizes.inputs)), Array(product.prefix(count * sizes.outputs)), nil, [adapter],
            Array(repeating: 0, count: count))
          #expect(together == Array(alone.prefix(count * sizes.outputs)), "\(count) rows, rank \(rank), \(dtype.name)")
        }
      }
    }
  }

  @Test("a row's result is the formula's, in float64, to float32's rounding")
  func formula() {
    var random = TestRandom(state: 7)
    for (rank, count) in [(3, 1), (16, 5), (70, 9)] {
      let adapter = Adapter(
        rank: rank, dtype: .float32, down: random.floats(rank * sizes.inputs), up: random.floats(rank * sizes.outputs),
        scales: random.floats(sizes.outputs))
      let input = random.floats(count * sizes.inputs), product = random.floats(count * sizes.outputs)
      let result = kernel(input, product, nil, [adapter], Array(repeating: 0, count: count))
      for row in 0..<count {
        let inner = (0..<rank).map { line in
          (0..<sizes.inputs).reduce(0.0) {
            $0 + Double(input[row * sizes.inputs + $1]) * Double(adapter.down[line * sizes.inputs + $1])
          } * 0.5
        }
        for n in 0..<sizes.outputs {
          let change = (0..<rank).reduce(0.0) { $0 + inner[$1] * Double(adapter.up[$1 * sizes.outputs + n]) }
          let expected = (Double(product[row * sizes.outputs + n]) + change) * Double(adapter.scales?[n] ?? 1)
          let found = Double(Float(bitPattern: result[row * sizes.outputs + n]))
          #expect(abs(found - expected) <= 1e-4 * (1 + abs(expected)), "row \(row), output \(n), rank \(rank)")
        }
      }
    }
  }
}
