import AngelCore
import CAngelKernels
import Glibc
import Testing

@Suite struct RotaryKernelTests {
  @Test("The table holds cosines, then sines, of the angle rounded to float32")
  func tableValues() {
    let positions: [Int32] = [0, 1, 77, 8191, 131_071]
    let frequencies = (0..<5).map { Float(pow(10000, -Double($0) / 5)) }
    let output: [Float] = everyVariant(ANGEL_FAMILY_rotary_table, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(50, of: Float.nan)
        run(
          angel_rotary_table_arguments(
            positions: memory.copy(positions), inverse_frequencies: memory.copy(frequencies), output: output, rows: 5,
            half: 5, scaling: 1.25))
        return array(output, 50)
      }
    }
    for (row, position) in positions.enumerated() {
      for (index, frequency) in frequencies.enumerated() {
        let angle = Double(Float(position) * frequency)
        #expect(abs(Double(output[row * 10 + index]) - 1.25 * cos(angle)) < 1.5e-7)
        #expect(abs(Double(output[row * 10 + 5 + index]) - 1.25 * sin(angle)) < 1.5e-7)
      }
    }
  }

  @Test(
    "rotary turns pairs half a rotation apart and copies the rest, in place too",
    arguments: [(64, 64), (32, 16), (10, 6), (80, 40), (7, 0)])
  func rotates(_ headSize: Int, _ rotated: Int) {
    var random = TestRandom(state: UInt64(headSize))
    let rows = 5
    let heads = 3
    let half = rotated / 2
    let input = random.floats(rows * heads * headSize)
    let angles = random.floats(rows * max(half, 1), scale: 3)
    var rotations: [Float] = []
    for row in 0..<rows {
      let slice = angles[row * half..<(row + 1) * half]
      rotations += slice.map { cosf($0) } + slice.map { sinf($0) }
    }
    if half == 0 { rotations = [0] }
    func rotary(inPlace: Bool) -> [Float] {
      everyVariant(ANGEL_FAMILY_rotary, ANGEL_F32) { run in
        TestMemory.scope { memory in
          let x = memory.copy(input)
          let output = inPlace ? x : memory.room(input.count, of: Float.nan)
          run(
            angel_rotary_arguments(
              input: x, table: memory.copy(rotations), output: output, rows: Int64(rows), heads: Int64(heads),
              head_size: Int64(headSize), rotated: Int64(rotated)))
          return array(output, input.count)
        }
      }
    }
    var expected = input.map(Double.init)
    for row in 0..<rows {
      for head in 0..<heads {
        let start = (row * heads + head) * headSize
        for i in 0..<half {
          let cosine = Double(rotations[row * rotated + i])
          let sine = Double(rotations[row * rotated + half + i])
          let x = Double(input[start + i])
          let y = Double(input[start + half + i])
          expected[start + i] = x * cosine - y * sine
          expected[start + half + i] = y * cosine + x * sine
        }
      }
    }
    let output = rotary(inPlace: false)
    #expect(zip(output, expected).allSatisfy { abs(Double($0) - $1) < 2.5e-7 })
    #expect(rotary(inPlace: true) == output)
  }
}
