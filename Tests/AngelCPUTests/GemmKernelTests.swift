import AngelCore
import CAngelKernels
import Testing

@Suite struct GemmKernelTests {
  /// A product's sizes and which operands are read transposed.
  struct Case: Sendable, CustomTestStringConvertible {
    var (m, n, k) = (1, 1, 1)
    var transposesLeft = false
    var transposesRight = false
    var testDescription: String { "[\(m), \(k)] x [\(k), \(n)], \(transposesLeft), \(transposesRight)" }
  }

  static let cases: [Case] = [(1, 1, 1), (3, 5, 7), (9, 33, 130), (260, 40, 129), (17, 64, 300)].flatMap { sizes in
    [(false, false), (false, true), (true, false), (true, true)].map {
      Case(m: sizes.0, n: sizes.1, k: sizes.2, transposesLeft: $0.0, transposesRight: $0.1)
    }
  }

  private func product(
    _ c: Case, _ left: [Float], _ right: [Float], bias: [Float]? = nil, onto start: [Float]? = nil
  ) -> [Float] {
    everyVariant(ANGEL_FAMILY_gemm, ANGEL_F32, ANGEL_F32, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = start.map { memory.copy($0) } ?? memory.room(c.m * c.n, of: Float.nan)
        run(
          arguments(
            c, memory.copy(left), memory.copy(right), bias.map { UnsafeRawPointer(memory.copy($0)) }, output,
            accumulates: start != nil))
        return array(output, c.m * c.n)
      }
    }
  }

  private func arguments(
    _ c: Case, _ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ bias: UnsafeRawPointer?,
    _ output: UnsafeMutableRawPointer, accumulates: Bool = false
  ) -> angel_gemm_arguments {
    angel_gemm_arguments(
      left: left, right: right, bias: bias, output: output, m: Int64(c.m), n: Int64(c.n), k: Int64(c.k),
      left_m: c.transposesLeft ? 1 : Int64(c.k), left_k: c.transposesLeft ? Int64(c.m) : 1,
      right_k: c.transposesRight ? 1 : Int64(c.n), right_n: c.transposesRight ? Int64(c.k) : 1,
      accumulates: accumulates ? 1 : 0)
  }

  /// The contract's chain, element by element.
  private func expected(
    _ c: Case, _ left: [Float], _ right: [Float], bias: [Float]? = nil, onto start: [Float]? = nil
  ) -> [Float] {
    (0..<(c.m * c.n)).map { index in
      let (row, column) = (index / c.n, index % c.n)
      var sum = start?[index] ?? 0
      for k in 0..<c.k {
        let x = left[c.transposesLeft ? k * c.m + row : row * c.k + k]
        sum.addProduct(x, right[c.transposesRight ? column * c.k + k : k * c.n + column])
      }
      return bias.map { sum + $0[column] } ?? sum
    }
  }

  @Test("gemm is one chain of fused multiply-adds an element, to the bit", arguments: cases)
  func chain(_ c: Case) {
    var random = TestRandom(state: UInt64(c.m * c.k))
    let (left, right) = (random.floats(c.m * c.k), random.floats(c.k * c.n))
    let (bias, start) = (random.floats(c.n), random.floats(c.m * c.n))
    #expect(product(c, left, right) == expected(c, left, right))
    #expect(product(c, left, right, bias: bias) == expected(c, left, right, bias: bias))
    #expect(product(c, left, right, onto: start) == expected(c, left, right, onto: start))
  }

  @Test("bfloat16 operands give the sums of their float32 values, rounded once", arguments: cases)
  func brainFloat(_ c: Case) {
    var random = TestRandom(state: UInt64(c.n * c.k))
    func rounded(_ count: Int) -> [UInt16] { random.floats(count).map { UInt16($0.bitPattern >> 16) } }
    func widened(_ values: [UInt16]) -> [Float] { values.map { Float(bitPattern: UInt32($0) << 16) } }
    let (left, right, bias) = (rounded(c.m * c.k), rounded(c.k * c.n), rounded(c.n))
    let sums = expected(c, widened(left), widened(right))
    let wide: [Float] = everyVariant(ANGEL_FAMILY_gemm, ANGEL_BF16, ANGEL_BF16, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(c.m * c.n, of: Float.nan)
        run(arguments(c, memory.copy(left), memory.copy(right), nil, output))
        return array(output, c.m * c.n)
      }
    }
    #expect(wide == sums)
    let narrow: [UInt16] = everyVariant(ANGEL_FAMILY_gemm, ANGEL_BF16, ANGEL_BF16, ANGEL_BF16) { run in
      TestMemory.scope { memory in
        let output = memory.room(c.m * c.n, of: UInt16(0x7fff))
        run(arguments(c, memory.copy(left), memory.copy(right), UnsafeRawPointer(memory.copy(bias)), output))
        return array(output, c.m * c.n)
      }
    }
    let biased = expected(c, widened(left), widened(right), bias: widened(bias))
    #expect(
      narrow
        == biased.map { value in
          let bits = value.bitPattern
          return UInt16((bits + 0x7fff + (bits >> 16 & 1)) >> 16)
        })
  }
}
