import AngelCore
import CAngelKernels
import Testing

@Suite struct AddRMSNormKernelTests {
  private typealias Pointer = UnsafeMutablePointer<Float>
  /// The bits of the sum, then of the normalised sum; `target` chooses where they go among fresh memory, input and update.
  private func kernel(
    _ input: [Float], _ update: [Float], _ weight: [Float],
    into target: (Pointer, Pointer, Pointer) -> (sum: Pointer?, normalized: Pointer?) = { _, _, _ in (nil, nil) }
  ) -> [UInt32] {
    everyVariant(ANGEL_FAMILY_add_rmsnorm, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (x, y) = (memory.copy(input), memory.copy(update))
        let fresh = memory.room(input.count, of: Float.nan)
        let chosen = target(fresh, x, y)
        let sum = chosen.sum ?? fresh
        let normalized = chosen.normalized ?? memory.room(input.count, of: Float.nan)
        run(
          angel_add_rmsnorm_arguments(
            input: x, update: y, weight: memory.copy(weight), sum: sum, normalized: normalized,
            rows: Int64(input.count / weight.count), width: Int64(weight.count), epsilon: 1e-5))
        return bits(array(sum, input.count)) + bits(array(normalized, input.count))
      }
    }
  }

  @Test("Every variant of add_rmsnorm gives the bits of add and rmsnorm", arguments: [1, 15, 16, 33, 576, 1000])
  func composed(width: Int) {
    var random = TestRandom(state: UInt64(width))
    let (input, update, weight) = (random.floats(5 * width, scale: 3), random.floats(5 * width), random.floats(width))
    let sum = zip(input, update).map(+)
    let normalized: [Float] = everyVariant(ANGEL_FAMILY_rmsnorm, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(sum.count, of: Float.nan)
        run(
          angel_rmsnorm_arguments(
            input: memory.copy(sum), weight: memory.copy(weight), output: output, rows: 5, width: Int64(width),
            epsilon: 1e-5))
        return array(output, sum.count)
      }
    }
    #expect(kernel(input, update, weight) == bits(sum) + bits(normalized))
  }

  @Test("A row of add_rmsnorm does not depend on its neighbours")
  func rowsAreIndependent() {
    var random = TestRandom(state: 9)
    let (input, update, weight) = (random.floats(32 * 100), random.floats(32 * 100), random.floats(100))
    let together = kernel(input, update, weight)
    for row in [0, 7, 31] {
      let range = row * 100..<(row + 1) * 100
      let alone = kernel(Array(input[range]), Array(update[range]), weight)
      #expect(alone == Array(together[range]) + Array(together[3200 + row * 100..<3200 + (row + 1) * 100]))
    }
  }

  @Test("Either result of add_rmsnorm may be written over an input")
  func aliasing() {
    var random = TestRandom(state: 4)
    let (input, update, weight) = (random.floats(3 * 37), random.floats(3 * 37), random.floats(37))
    let apart = kernel(input, update, weight)
    #expect(kernel(input, update, weight) { _, x, _ in (sum: x, normalized: nil) } == apart)
    #expect(kernel(input, update, weight) { _, _, y in (sum: y, normalized: nil) } == apart)
    #expect(kernel(input, update, weight) { _, x, _ in (sum: nil, normalized: x) } == apart)
    #expect(kernel(input, update, weight) { _, x, y in (sum: x, normalized: y) } == apart)
  }
}
