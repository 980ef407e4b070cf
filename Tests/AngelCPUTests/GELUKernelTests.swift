import AngelCore
import CAngelKernels
import Glibc
import Testing

@Suite struct LayerNormKernelTests {
  private func normalized(
    _ input: [Float], _ weight: [Float], _ bias: [Float], rows: Int, inPlace: Bool
  ) -> [Float] {
    everyVariant(ANGEL_FAMILY_layernorm, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let x = memory.copy(input)
        let output = inPlace ? x : memory.room(input.count, of: Float.nan)
        run(
          angel_layernorm_arguments(
            input: x, weight: memory.copy(weight), bias: memory.copy(bias), output: output, rows: Int64(rows),
            width: Int64(weight.count), epsilon: 1e-5))
        return array(output, input.count)
      }
    }
  }

  @Test("layernorm equals its formula in float64, in place too", arguments: [1, 15, 16, 33, 768, 1000])
  func formula(_ width: Int) {
    var random = TestRandom(state: UInt64(width))
    let rows = 5
    let input = random.floats(rows * width, scale: 3)
    let (weight, bias) = (random.floats(width), random.floats(width))
    var expected: [Double] = []
    for row in 0..<rows {
      let x = input[row * width..<(row + 1) * width].map(Double.init)
      let mean = x.reduce(0, +) / Double(width)
      let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
      let scale = 1 / (variance + Double(Float(1e-5))).squareRoot()
      for column in 0..<width {
        expected.append((x[column] - mean) * scale * Double(weight[column]) + Double(bias[column]))
      }
    }
    let output = normalized(input, weight, bias, rows: rows, inPlace: false)
    #expect(zip(output, expected).allSatisfy { abs(Double($0) - $1) < 2e-6 })
    #expect(normalized(input, weight, bias, rows: rows, inPlace: true) == output)
  }

  @Test("A row of layernorm does not depend on its neighbours")
  func rowsAreIndependent() {
    var random = TestRandom(state: 9)
    let input = random.floats(32 * 100)
    let (weight, bias) = (random.floats(100), random.floats(100))
    let together = normalized(input, weight, bias, rows: 32, inPlace: false)
    for row in [0, 7, 31] {
      let alone = normalized(Array(input[row * 100..<(row + 1) * 100]), weight, bias, rows: 1, inPlace: false)
      #expect(alone == Array(together[row * 100..<(row + 1) * 100]))
    }
  }
}

@Suite struct GELUKernelTests {
  static let forms = [ANGEL_GELU_ERF.rawValue, ANGEL_GELU_TANH.rawValue]

  private func gelu(_ input: [Float], _ form: Int32, inPlace: Bool = false) -> [UInt32] {
    everyVariant(ANGEL_FAMILY_gelu, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let x = memory.copy(input)
        let output = inPlace ? x : memory.room(input.count, of: Float.nan)
        run(
          angel_gelu_arguments(
            input: x, output: output, count: Int64(input.count), form: angel_gelu_form(rawValue: form)))
        return bits(array(output, input.count))
      }
    }
  }

  private func geglu(_ gate: [Float], _ up: [Float], _ form: Int32, over: Int) -> [UInt32] {
    everyVariant(ANGEL_FAMILY_geglu, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let inputs = [memory.room(gate.count, of: Float.nan), memory.copy(gate), memory.copy(up)]
        run(
          angel_geglu_arguments(
            gate: inputs[1], up: inputs[2], output: inputs[over], count: Int64(gate.count),
            form: angel_gelu_form(rawValue: form)))
        return bits(array(inputs[over], gate.count))
      }
    }
  }

  private func exact(_ x: Double, _ form: Int32) -> Double {
    form == ANGEL_GELU_ERF.rawValue
      ? x * erfc(-x / 2.0.squareRoot()) / 2
      : x / (1 + exp(-2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }

  @Test("gelu keeps its digits on both sides of zero, in place too", arguments: forms, [1, 16, 31, 4000])
  func formula(_ form: Int32, _ count: Int) {
    var random = TestRandom(state: UInt64(count))
    let input = random.floats(count, scale: 5)
    let output = gelu(input, form)
    let expected = input.map { exact(Double($0), form) }
    // Far below zero the tanh form's exponent itself is rounded.
    let bound = form == ANGEL_GELU_ERF.rawValue ? 3e-7 : 4e-6
    #expect(greatestError(output.map(Float.init(bitPattern:)), expected, floor: 1e-30) < bound)
    #expect(gelu(input, form, inPlace: true) == output)
  }

  @Test("geglu is gelu times the other half, over either input too", arguments: forms)
  func gated(_ form: Int32) {
    var random = TestRandom(state: 3)
    let (gate, up) = (random.floats(100, scale: 4), random.floats(100))
    let product = zip(gelu(gate, form), up).map { (Float(bitPattern: $0) * $1).bitPattern }
    for output in 0..<3 { #expect(geglu(gate, up, form, over: output) == product) }
  }

  @Test("Large inputs saturate and a NaN stays one", arguments: forms)
  func saturation(_ form: Int32) {
    let output = gelu([-1000, 1000, 0, .nan, -14], form).map(Float.init(bitPattern:))
    #expect(output[0] == 0 && output[1] == 1000 && output[2] == 0 && output[3].isNaN)
    #expect(output[4] <= 0 && output[4] > -1e-36)
  }
}

@Suite struct SoftCapKernelTests {
  private func capped(_ input: [Float], inPlace: Bool) -> [UInt32] {
    everyVariant(ANGEL_FAMILY_softcap, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let x = memory.copy(input)
        let output = inPlace ? x : memory.room(input.count, of: Float.nan)
        run(angel_softcap_arguments(input: x, output: output, count: Int64(input.count), cap: 30))
        return bits(array(output, input.count))
      }
    }
  }

  @Test("softcap equals its formula in float64, in place too", arguments: [1, 16, 31, 4000])
  func formula(_ count: Int) {
    var random = TestRandom(state: UInt64(count))
    let input = random.floats(count, scale: 100)
    let output = capped(input, inPlace: false)
    let expected = input.map { 30 * tanh(Double($0) / 30) }
    #expect(greatestError(output.map(Float.init(bitPattern:)), expected, floor: 1e-30) < 5e-7)
    #expect(capped(input, inPlace: true) == output)
  }

  @Test("Values beyond any bound become the cap and a NaN stays one")
  func saturation() {
    let output = capped([1e30, -.infinity, .nan], inPlace: false).map(Float.init(bitPattern:))
    #expect(output[0] == 30 && output[1] == -30 && output[2].isNaN)
  }
}
