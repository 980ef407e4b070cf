import CAngelKernels
import Testing

/// The kernels of the other optimizers: every instruction set gives the same bits, which follow the header's equations.
@Suite("Kernels of further optimizers") struct OptimizerVariantTests {
  static let counts = [1, 15, 16, 37, 300, 700]

  @Test("Lion follows its equations", arguments: counts)
  func lion(_ count: Int) {
    var random = TestRandom(state: 11)
    let (p, g, m) = (random.floats(count), random.floats(count), random.floats(count))
    let values = everyVariant(ANGEL_FAMILY_lion, ANGEL_F32) { (run: (angel_lion_arguments) -> Void) in
      TestMemory.scope { memory in
        let (parameter, momentum) = (memory.copy(p), memory.copy(m))
        run(
          angel_lion_arguments(
            parameter: parameter, low: nil, gradient: memory.copy(g), momentum: momentum, count: Int64(count),
            gradient_scale: 0.5, learning_rate: 0.01, weight_decay: 0.1, beta1: 0.9, beta2: 0.99))
        return array(parameter, count) + array(momentum, count)
      }
    }
    for i in 0..<count {
      let direction = 0.9 * Double(m[i]) + 0.1 * 0.5 * Double(g[i])
      let sign = direction > 0 ? 1.0 : direction < 0 ? -1.0 : 0
      #expect(abs(Double(values[i]) - (Double(p[i]) * 0.999 - 0.01 * sign)) < 1e-6)
      #expect(abs(Double(values[count + i]) - (0.99 * Double(m[i]) + 0.01 * 0.5 * Double(g[i]))) < 1e-6)
    }
  }

  @Test("Muon's momentum follows its equations", arguments: counts)
  func muon(_ count: Int) {
    var random = TestRandom(state: 12)
    let (g, m) = (random.floats(count), random.floats(count))
    let values = everyVariant(ANGEL_FAMILY_muon, ANGEL_F32) { (run: (angel_muon_arguments) -> Void) in
      TestMemory.scope { memory in
        let (velocity, direction) = (memory.copy(m), memory.room(count, of: Float.nan))
        run(
          angel_muon_arguments(
            gradient: memory.copy(g), velocity: velocity, direction: direction, count: Int64(count),
            gradient_scale: 2, momentum: 0.95))
        return array(velocity, count) + array(direction, count)
      }
    }
    for i in 0..<count {
      let (gradient, old) = (2 * Double(g[i]), Double(m[i]))
      let momentum = old + (gradient - old) * 0.05
      #expect(abs(Double(values[i]) - momentum) < 1e-6)
      #expect(abs(Double(values[count + i]) - (gradient + (momentum - gradient) * 0.95)) < 1e-6)
    }
  }

  @Test("an average follows parameters, whole or in halves", arguments: counts)
  func average(_ count: Int) {
    var random = TestRandom(state: 13)
    let (p, a) = (random.floats(count), random.floats(count))
    let values = everyVariant(ANGEL_FAMILY_ema, ANGEL_F32) { (run: (angel_ema_arguments) -> Void) in
      TestMemory.scope { memory in
        let average = memory.copy(a)
        run(
          angel_ema_arguments(
            parameter: memory.copy(p), low: nil, average: average, count: Int64(count), decay: 0.9))
        return array(average, count)
      }
    }
    for i in 0..<count { #expect(abs(Double(values[i]) - (0.9 * Double(a[i]) + 0.1 * Double(p[i]))) < 1e-6) }
  }

  @Test("Adafactor divides by the factored moment", arguments: [(1, 37), (3, 16), (5, 50)])
  func adafactor(_ rows: Int, _ columns: Int) {
    var random = TestRandom(state: 14)
    let g = random.floats(rows * columns)
    let (r, c) = (random.floats(rows).map { $0 * $0 }, random.floats(columns).map { $0 * $0 })
    let values = everyVariant(ANGEL_FAMILY_adafactor, ANGEL_F32) { (run: (angel_adafactor_arguments) -> Void) in
      TestMemory.scope { memory in
        let direction = memory.room(rows * columns, of: Float.nan)
        run(
          angel_adafactor_arguments(
            gradient: memory.copy(g), row: memory.copy(r), column: memory.copy(c), direction: direction,
            rows: Int64(rows), columns: Int64(columns), gradient_scale: 3, scale: 2, floor: 1e-4))
        return array(direction, rows * columns)
      }
    }
    for i in 0..<(rows * columns) {
      let moment = max(Double(r[i / columns]) * Double(c[i % columns]) * 2, 1e-4)
      let want = 3 * Double(g[i]) / moment.squareRoot()
      #expect(abs(Double(values[i]) - want) < 1e-5 * (1 + abs(want)))
    }
  }

  @Test("8-bit AdamW: every instruction set and number of parts, codes within a step of the moments", arguments: counts)
  func adamw8(_ count: Int) {
    var random = TestRandom(state: 15)
    let (p, g) = (random.floats(count), random.floats(count))
    let blocks = (count + Int(ANGEL_ADAMW8_BLOCK) - 1) / Int(ANGEL_ADAMW8_BLOCK)
    struct State: Equatable {
      var parameter: [Float]
      var first: [UInt8]
      var second: [UInt8]
      var scales: [Float]
    }
    let state = everyVariant(ANGEL_FAMILY_adamw8, ANGEL_F32) { (run: (angel_adamw8_arguments) -> Void) in
      TestMemory.scope { memory in
        let parameter = memory.copy(p)
        let (first, second) = (memory.room(count, of: UInt8(0)), memory.room(count, of: UInt8(0)))
        let (m, v) = (memory.room(blocks, of: Float(0)), memory.room(blocks, of: Float(0)))
        run(
          angel_adamw8_arguments(
            parameter: parameter, low: nil, gradient: memory.copy(g), first: first, second: second, first_scale: m,
            second_scale: v, count: Int64(count), seed: 77, gradient_scale: 1, learning_rate: 0.01, weight_decay: 0.1,
            beta1: 0.9, beta2: 0.99, epsilon: 1e-8, correction1: 0.1, correction2: 0.01))
        return State(
          parameter: array(parameter, count), first: array(first, count), second: array(second, count),
          scales: array(m, blocks) + array(v, blocks))
      }
    }
    for i in 0..<count {
      let block = i / Int(ANGEL_ADAMW8_BLOCK)
      let (first, second) = (Double(g[i]) * 0.1, abs(Double(g[i])) * 0.1)
      let m = Self.value(state.first[i], exponents: 7, isSigned: true) * Double(state.scales[block])
      let r = Self.value(state.second[i], exponents: 15, isSigned: false) * Double(state.scales[blocks + block])
      #expect(abs(m - first) <= max(abs(first) / 16, Double(state.scales[block]) / 1024) * 1.001)
      #expect(abs(r - second) <= max(second / 16, Double(state.scales[blocks + block]) * 0x1p-18) * 1.001)
      let want = Double(p[i]) * 0.999 - 0.01 / 0.1 * first / ((second / 0.1) + 1e-8)
      #expect(abs(Double(state.parameter[i]) - want) < 1e-5)
    }
  }

  @Test("rounding to random neighbours keeps the mean: a moment of a seventh stays a seventh")
  func meanOfRounding() {
    let count = 65_536
    // One value of 1 in each block, so that every scale is 1 after a step in which beta is 0.
    let g = (0..<count).map { $0 % 256 == 0 ? Float(1) : 1 / 7 }
    let sum = TestMemory.scope { memory -> Double in
      let codes = memory.room(count, of: UInt8(0))
      let arguments = angel_adamw8_arguments(
        parameter: memory.room(count, of: Float(0)), low: nil, gradient: memory.copy(g), first: codes,
        second: memory.room(count, of: UInt8(0)), first_scale: memory.room(256, of: Float(0)),
        second_scale: memory.room(256, of: Float(0)), count: Int64(count), seed: 5, gradient_scale: 1,
        learning_rate: 0, weight_decay: 0, beta1: 0, beta2: 0, epsilon: 1, correction1: 1, correction2: 1)
      let kernel = angel_kernel_lookup(ANGEL_FAMILY_adamw8, ANGEL_F32, ANGEL_NO_DTYPE, ANGEL_NO_DTYPE)
      withUnsafePointer(to: arguments) { pointer in
        if let kernel { kernel(pointer, 0, 1) }
      }
      return array(codes, count).enumerated().reduce(0.0) {
        $1.offset % 256 == 0 ? $0 : $0 + Self.value($1.element, exponents: 7, isSigned: true)
      }
    }
    #expect(abs(sum / Double(count - 256) * 7 - 1) < 1e-3)
  }

  /// What a code stands for, by the header's words.
  private static func value(_ code: UInt8, exponents: Int, isSigned: Bool) -> Double {
    let size = Int(isSigned ? code & 0x7F : code)
    var unit = 1.0 / 16
    for _ in 1..<exponents { unit /= 2 }
    let (exponent, fraction) = (size >> 4, size & 15)
    var value = exponent == 0 ? Double(fraction) * unit : Double(16 + fraction) * unit
    for _ in 0..<max(0, exponent - 1) { value *= 2 }
    return isSigned && code & 0x80 != 0 ? -value : value
  }
}
