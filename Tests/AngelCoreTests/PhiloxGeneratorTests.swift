import AngelCore
import Testing

@Suite("Philox")
struct PhiloxGeneratorTests {
  @Test("blocks equal the known answers of Random123 for philox4x32-10")
  func knownAnswers() {
    #expect(
      PhiloxGenerator.block(counter: SIMD4(repeating: 0), key: SIMD2(repeating: 0))
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      PhiloxGenerator.block(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      PhiloxGenerator.block(
        counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: SIMD2(0xa409_3822, 0x299f_31d0))
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test("seed is the key, position the low and stream the high half of the counter")
  func layout() {
    let generator = PhiloxGenerator(seed: 0x299f_31d0_a409_3822, stream: 0x0370_7344_1319_8a2e)
    let block = generator.block(at: 0x85a3_08d3_243f_6a88)
    #expect(block == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    let zero = PhiloxGenerator(seed: 0)
    #expect((0..<4).map { zero.word(at: $0) } == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    #expect(zero.word(at: 4) == zero.block(at: 1)[0])
    #expect(zero.uniform(at: 0) == Float(0x6627e8) / 16_777_216)
    #expect(zero.uniformDouble(atBlock: 0) == Double(0x6627_e8d5_e169_c58d as UInt64 >> 11) / 9_007_199_254_740_992)
  }

  @Test("uniform numbers stay below one and are spread evenly; streams and seeds differ")
  func uniformity() {
    let generator = PhiloxGenerator(seed: 42, stream: 7)
    var counts = [Int](repeating: 0, count: 16)
    for position in 0..<16_000 as Range<UInt64> {
      let value = generator.uniform(at: position)
      #expect(value >= 0 && value < 1)
      counts[Int(value * 16)] += 1
    }
    // Chi-square with 15 degrees of freedom; 37.7 is its 99.9 % point. The numbers are fixed, so this cannot flicker.
    let chiSquare = counts.reduce(0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
    #expect(chiSquare < 37.7)
    #expect(generator.block(at: 0) != PhiloxGenerator(seed: 42, stream: 8).block(at: 0))
    #expect(generator.block(at: 0) != PhiloxGenerator(seed: 43, stream: 7).block(at: 0))
  }
}
