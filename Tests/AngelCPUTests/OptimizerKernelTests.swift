import CAngelKernels
import Testing

/// A float32 master in two halves, as adamw.h has it.
private func halves(_ value: Float) -> (high: UInt16, low: Int16) {
  let bits = value.bitPattern
  let high = UInt16(truncatingIfNeeded: (bits + 0x8000) >> 16)
  return (high, Int16(truncatingIfNeeded: Int64(bits) - Int64(high) << 16))
}

@Suite("Optimizer kernels") struct OptimizerKernelTests {
  private struct State: Equatable {
    var parameter: [UInt32]
    var first: [UInt32]
    var second: [UInt32]
  }

  static let counts = [1, 15, 16, 37, 100]

  private func step(_ p: [Float], _ g: [Float], _ m: [Float], _ v: [Float], isSplit: Bool) -> State {
    everyVariant(ANGEL_FAMILY_adamw, isSplit ? ANGEL_BF16 : ANGEL_F32) { (run: (angel_adamw_arguments) -> Void) in
      TestMemory.scope { memory in
        let (whole, high) = (memory.copy(p), memory.copy(p.map { halves($0).high }))
        let low = memory.copy(p.map { halves($0).low })
        let (first, second) = (memory.copy(m), memory.copy(v))
        run(
          angel_adamw_arguments(
            parameter: isSplit ? UnsafeMutableRawPointer(high) : UnsafeMutableRawPointer(whole),
            low: isSplit ? low : nil,
            gradient: memory.copy(g), first: first, second: second, count: Int64(p.count), gradient_scale: 0.5,
            learning_rate: 0.01, weight_decay: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, correction1: 0.19,
            correction2: 0.0199))
        let joined = (0..<p.count).map { UInt32(truncatingIfNeeded: Int64(high[$0]) << 16 + Int64(low[$0])) }
        return State(
          parameter: isSplit ? joined : array(whole, p.count).map(\.bitPattern),
          first: array(first, p.count).map(\.bitPattern), second: array(second, p.count).map(\.bitPattern))
      }
    }
  }

  @Test("AdamW follows its equations, and a master in two halves is the same bits as a whole one", arguments: counts)
  func adamw(_ count: Int) {
    var random = TestRandom(state: 3)
    let (p, g) = (random.floats(count, scale: 3), random.floats(count))
    let (m, v) = (random.floats(count), random.floats(count).map { $0 * $0 })
    let state = step(p, g, m, v, isSplit: false)
    for i in 0..<count {
      let gradient = Double(g[i]) * 0.5
      let first = Double(m[i]) + (gradient - Double(m[i])) * 0.1
      let second = Double(v[i]) * 0.99 + gradient * gradient * 0.01
      let expected = Double(p[i]) * (1 - 0.001) - 0.01 / 0.19 * first / ((second / 0.0199).squareRoot() + 1e-8)
      #expect(abs(Double(Float(bitPattern: state.parameter[i])) - expected) < 1e-6 * (1 + abs(expected)))
      #expect(abs(Double(Float(bitPattern: state.first[i])) - first) < 1e-6)
      #expect(abs(Double(Float(bitPattern: state.second[i])) - second) < 1e-6)
    }
    #expect(step(p, g, m, v, isSplit: true) == state)
  }

  @Test("SGD follows its equations with momentum and without", arguments: counts)
  func sgd(_ count: Int) {
    var random = TestRandom(state: 4)
    let (p, g, m) = (random.floats(count), random.floats(count), random.floats(count))
    for hasMomentum in [true, false] {
      let values = everyVariant(ANGEL_FAMILY_sgd, ANGEL_F32) { (run: (angel_sgd_arguments) -> Void) in
        TestMemory.scope { memory in
          let (parameter, velocity) = (memory.copy(p), memory.copy(m))
          run(
            angel_sgd_arguments(
              parameter: parameter, low: nil, gradient: memory.copy(g), velocity: hasMomentum ? velocity : nil,
              count: Int64(count), gradient_scale: 2, learning_rate: 0.1, weight_decay: 0.01, momentum: 0.9))
          return array(parameter, count) + array(velocity, count)
        }
      }
      for i in 0..<count {
        let direction = (hasMomentum ? 0.9 * Double(m[i]) : 0) + 2 * Double(g[i])
        #expect(abs(Double(values[i]) - (Double(p[i]) * 0.999 - 0.1 * direction)) < 1e-6)
        #expect(abs(Double(values[count + i]) - (hasMomentum ? direction : Double(m[i]))) < 1e-6)
      }
    }
  }

  @Test("sums of squares stand at fixed places", arguments: [1, 17, 16_384, 40_000])
  func squares(_ count: Int) {
    var random = TestRandom(state: 6)
    let values = random.floats(count)
    let blocks = (count + Int(ANGEL_SQUARE_BLOCK) - 1) / Int(ANGEL_SQUARE_BLOCK)
    let sums = everyVariant(ANGEL_FAMILY_square_sum, ANGEL_F32) { (run: (angel_square_sum_arguments) -> Void) in
      TestMemory.scope { memory in
        let output = memory.room(blocks, of: Double.nan)
        run(angel_square_sum_arguments(input: memory.copy(values), output: output, count: Int64(count)))
        return array(output, blocks)
      }
    }
    for block in 0..<blocks {
      let expected = values.dropFirst(block * Int(ANGEL_SQUARE_BLOCK)).prefix(Int(ANGEL_SQUARE_BLOCK))
        .reduce(0.0) { $0 + Double($1) * Double($1) }
      #expect(abs(sums[block] - expected) < 1e-12 * (1 + expected))
    }
  }
}
