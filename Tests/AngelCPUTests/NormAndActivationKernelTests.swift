import AngelCore
import CAngelKernels
import Glibc
import Testing

@Suite struct RMSNormKernelTests {
  private func normalized(_ input: [Float], _ weight: [Float], rows: Int, inPlace: Bool) -> [Float] {
    everyVariant(ANGEL_FAMILY_rmsnorm, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let x = memory.copy(input)
        let output = inPlace ? x : memory.room(input.count, of: Float.nan)
        run(
          angel_rmsnorm_arguments(
            input: x, weight: memory.copy(weight), output: output, rows: Int64(rows), width: Int64(weight.count),
            epsilon: 1e-5))
        return array(output, input.count)
      }
    }
  }

  @Test("rmsnorm equals its formula in float64, in place too", arguments: [1, 15, 16, 33, 576, 1000])
  func formula(_ width: Int) {
    var random = TestRandom(state: UInt64(width))
    let rows = 5
    let input = random.floats(rows * width, scale: 3)
    let weight = random.floats(width)
    var expected: [Double] = []
    for row in 0..<rows {
      let x = input[row * width..<(row + 1) * width].map(Double.init)
      let scale = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(width) + Double(Float(1e-5))).squareRoot()
      expected += zip(x, weight).map { $0 * scale * Double($1) }
    }
    let output = normalized(input, weight, rows: rows, inPlace: false)
    #expect(greatestError(output, expected) < 5e-7)
    #expect(normalized(input, weight, rows: rows, inPlace: true) == output)
  }

  @Test("A row of rmsnorm does not depend on its neighbours")
  func rowsAreIndependent() {
    var random = TestRandom(state: 9)
    let input = random.floats(32 * 100)
    let weight = random.floats(100)
    let together = normalized(input, weight, rows: 32, inPlace: false)
    for row in [0, 7, 31] {
      let alone = normalized(Array(input[row * 100..<(row + 1) * 100]), weight, rows: 1, inPlace: false)
      #expect(alone == Array(together[row * 100..<(row + 1) * 100]))
    }
  }
}

@Suite struct SwiGLUKernelTests {
  private typealias Pointer = UnsafeMutablePointer<Float>
  /// `target` chooses the output among fresh memory, the gate and the up projection.
  private func swiglu(
    _ gate: [Float], _ up: [Float], into target: (Pointer, Pointer, Pointer) -> Pointer = { fresh, _, _ in fresh }
  ) -> [UInt32] {
    everyVariant(ANGEL_FAMILY_swiglu, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let left = memory.copy(gate)
        let right = memory.copy(up)
        let output = target(memory.room(gate.count, of: Float.nan), left, right)
        run(angel_swiglu_arguments(gate: left, up: right, output: output, count: Int64(gate.count)))
        return bits(array(output, gate.count))
      }
    }
  }

  @Test("swiglu equals its formula in float64", arguments: [1, 16, 31, 1536])
  func formula(_ count: Int) {
    var random = TestRandom(state: UInt64(count))
    let gate = random.floats(count, scale: 20)
    let up = random.floats(count)
    let expected = zip(gate, up).map { Double($0) / (1 + exp(-Double($0))) * Double($1) }
    let output = swiglu(gate, up).map(Float.init(bitPattern:))
    #expect(greatestError(output, expected, floor: 1e-9) < 5e-7)
  }

  @Test("swiglu may overwrite either input")
  func aliasing() {
    var random = TestRandom(state: 4)
    let gate = random.floats(100, scale: 4)
    let up = random.floats(100)
    let apart = swiglu(gate, up)
    let overGate = swiglu(gate, up) { _, gate, _ in gate }
    let overUp = swiglu(gate, up) { _, _, up in up }
    #expect(overGate == apart && overUp == apart)
  }

  @Test("Large gates saturate and a NaN stays one")
  func saturation() {
    let output = swiglu([-1000, 1000, 0, .nan], [1, 1, 1, 1]).map(Float.init(bitPattern:))
    #expect(output[0] == 0 && output[1] == 1000 && output[2] == 0 && output[3].isNaN)
  }
}

@Suite struct SoftmaxKernelTests {
  private func softmax(_ input: [Float], rows: Int, inPlace: Bool = false) -> [UInt32] {
    everyVariant(ANGEL_FAMILY_softmax, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let x = memory.copy(input)
        let output = inPlace ? x : memory.room(input.count, of: Float.nan)
        run(
          angel_softmax_arguments(
            input: x, output: output, rows: Int64(rows), width: Int64(input.count / rows)))
        return bits(array(output, input.count))
      }
    }
  }

  @Test("softmax equals its formula in float64, in place too", arguments: [1, 15, 16, 100, 4099])
  func formula(_ width: Int) {
    var random = TestRandom(state: UInt64(width))
    let input = random.floats(3 * width, scale: 30)
    var expected: [Double] = []
    for row in 0..<3 {
      let x = input[row * width..<(row + 1) * width].map(Double.init)
      let maximum = x.max() ?? 0
      let weights = x.map { exp($0 - maximum) }
      let sum = weights.reduce(0, +)
      expected += weights.map { $0 / sum }
    }
    let output = softmax(input, rows: 3)
    #expect(greatestError(output.map(Float.init(bitPattern:)), expected, floor: 1e-30) < 1e-6)
    #expect(softmax(input, rows: 3, inPlace: true) == output)
    let doubles: [Double] = everyVariant(ANGEL_FAMILY_softmax, ANGEL_F64) { run in
      TestMemory.scope { memory in
        let output = memory.room(input.count, of: Double.nan)
        run(
          angel_softmax_arguments(
            input: memory.copy(input.map(Double.init)), output: output, rows: 3, width: Int64(width)))
        return array(output, input.count)
      }
    }
    #expect(zip(doubles, expected).allSatisfy { abs($0 - $1) <= 1e-14 * $1 })
  }

  @Test("Masked positions weigh exactly 0, and a NaN spoils its whole row and no other")
  func specialValues() {
    var input = [Float](repeating: 1, count: 3 * 20)
    for index in 0..<19 { input[index] = -.infinity }
    input[25] = .nan
    let output = softmax(input, rows: 3).map(Float.init(bitPattern:))
    #expect(Array(output[0..<20]) == [Float](repeating: 0, count: 19) + [1])
    #expect(output[20..<40].allSatisfy { $0.isNaN })
    #expect(output[40..<60].allSatisfy { $0 == 1 / 20 })
  }
}
