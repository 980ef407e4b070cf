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
          entry.down = padded(adapter.down, adapter.rank, adapter.dtype, memory)
          entry.up = padded(adapter.up, adapter.rank, adapter.dtype, memory)
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

  private func padded(_ values: [Float], _ rank: Int, _ dtype: DType, _ memory: TestMemory) -> UnsafeRawPointer? {
    guard rank > 0 else { return nil }
    let width = values.count / rank
    let zeros = [Float](repeating: 0, count: (16 - width % 16) % 16)
    var lines: [Float] = []
    for line in 0..<rank { lines += values[line * width..<(line + 1) * width] + zeros }
    switch dtype {
    case .bfloat16: return UnsafeRawPointer(memory.copy(lines.map { UInt16(($0.bitPattern + 0x8000) >> 16) }))
    case .float16: return UnsafeRawPointer(memory.copy(lines.map { half($0) }))
    default: return UnsafeRawPointer(memory.copy(lines))
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
}
