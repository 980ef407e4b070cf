import AngelCore
import CAngelKernels
import Glibc
import Testing

@Suite struct UnaryKernelTests {
  private func applied(_ family: angel_family, _ input: [Float]) -> [Float] {
    let result: [UInt32] = everyVariant(family, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(input.count, of: Float(7))
        run(angel_unary_arguments(input: memory.copy(input), output: output, count: Int64(input.count)))
        return bits(array(output, input.count))
      }
    }
    return result.map(Float.init(bitPattern:))
  }

  @Test("float32 exp is within 1 ulp of the truth over its whole range")
  func expSweep() {
    let input = stride(from: -104.5, through: 89.5, by: 0.0037).map { Float($0) } + (-40...40).map { Float($0) * 1e-9 }
    let output = applied(ANGEL_FAMILY_exp, input)
    let worst = zip(input, output).map { x, y -> Double in
      let truth = exp(Double(x))
      if truth > Double(Float.greatestFiniteMagnitude) { return y == .infinity ? 0 : 99 }
      return abs(Double(y) - truth) / Double(Float(truth).ulp)
    }.max()
    #expect(worst ?? 99 <= 1)
  }

  @Test("exp of -inf and of anything below underflow is 0, of inf inf, of NaN NaN")
  func expSpecialValues() {
    let output = applied(ANGEL_FAMILY_exp, [-.infinity, -1e30, -105, -104, .infinity, 1e30, 0, -0, .nan])
    #expect(Array(output[0..<4]) == [0, 0, 0, 0])
    #expect(Array(output[4..<8]) == [.infinity, .infinity, 1, 1])
    #expect(output[8].isNaN)
  }

  @Test("Unary primitives equal the C library's in both precisions")
  func library() {
    let cases: [(angel_family, @Sendable (Double) -> Double, [Double])] = [
      (ANGEL_FAMILY_negate, { -$0 }, [0, 1.5, -2]), (ANGEL_FAMILY_exp, { exp($0) }, [-3, 0.1, 40]),
      (ANGEL_FAMILY_log, { log($0) }, [0.1, 1, 1e6]), (ANGEL_FAMILY_sqrt, { $0.squareRoot() }, [0, 2, 1e10]),
      (ANGEL_FAMILY_sin, { sin($0) }, [0.5, -100]), (ANGEL_FAMILY_cos, { cos($0) }, [0.5, -100]),
      (ANGEL_FAMILY_tanh, { tanh($0) }, [-9, -0.1, 0.7, 3]),
      (ANGEL_FAMILY_erf, { erf($0) }, [-9, -0.1, 0.7, 3]),
    ]
    for (family, function, points) in cases {
      let input = (0..<5).flatMap { _ in points }
      let floats = applied(family, input.map(Float.init))
      #expect(greatestError(floats, input.map { function(Double(Float($0))) }, floor: 1e-30) < 2e-7)
      let doubles: [Double] = everyVariant(family, ANGEL_F64) { run in
        TestMemory.scope { memory in
          let output = memory.room(input.count, of: Double.nan)
          run(angel_unary_arguments(input: memory.copy(input), output: output, count: Int64(input.count)))
          return array(output, input.count)
        }
      }
      #expect(doubles == input.map(function))
    }
  }
}

@Suite struct BinaryKernelTests {
  private func combined<Value: BinaryFloatingPoint & BitwiseCopyable>(
    _ family: angel_family, _ dtype: angel_dtype, _ left: [Value], _ right: [Value], sizes: [Int],
    leftStrides: [Int], rightStrides: [Int]
  ) -> [Value?] {
    let count = sizes.reduce(1, *)
    return everyVariant(family, dtype) { run in
      TestMemory.scope { memory in
        let output = memory.room(count, of: Value(0))
        var arguments = angel_binary_arguments()
        arguments.left = UnsafeRawPointer(memory.copy(left))
        arguments.right = UnsafeRawPointer(memory.copy(right))
        arguments.output = UnsafeMutableRawPointer(output)
        fill(&arguments.sizes, sizes, with: 1)
        fill(&arguments.left_strides, leftStrides, with: 0)
        fill(&arguments.right_strides, rightStrides, with: 0)
        run(arguments)
        // nil stands for NaN, so that results compare.
        return array(output, count).map { $0.isNaN ? nil : $0 }
      }
    }
  }

  private static let families: [(angel_family, @Sendable (Double, Double) -> Double)] = [
    (ANGEL_FAMILY_add, { $0 + $1 }), (ANGEL_FAMILY_subtract, { $0 - $1 }), (ANGEL_FAMILY_multiply, { $0 * $1 }),
    (ANGEL_FAMILY_divide, { $0 / $1 }), (ANGEL_FAMILY_maximum, { max($0, $1) }),
    (ANGEL_FAMILY_minimum, { min($0, $1) }),
  ]

  @Test("Binary primitives broadcast by strides and round once")
  func broadcasts() {
    var random = TestRandom(state: 6)
    let left = random.floats(4 * 3 * 17)
    let right = random.floats(4 * 3 * 17).map { $0 == 0 ? 1 : $0 }
    let cases: [([Int], [Int], [Int])] = [
      ([4, 3, 17], [51, 17, 1], [51, 17, 1]), ([4, 3, 17], [51, 17, 1], [0, 0, 1]),
      ([4, 3, 17], [51, 17, 1], [3, 1, 0]), ([4, 3, 17], [0, 0, 0], [51, 17, 1]),
      ([17, 3, 4], [1, 17, 51], [12, 4, 1]), ([1], [0], [0]),
    ]
    for (family, function) in Self.families {
      for (sizes, leftStrides, rightStrides) in cases {
        var places = [(0, 0)]
        for axis in sizes.indices {
          places = places.flatMap { place in
            (0..<sizes[axis]).map { (place.0 + $0 * leftStrides[axis], place.1 + $0 * rightStrides[axis]) }
          }
        }
        let expected = places.map { function(Double(left[$0.0]), Double(right[$0.1])) }
        let floats = combined(
          family, ANGEL_F32, left, right, sizes: sizes, leftStrides: leftStrides, rightStrides: rightStrides)
        #expect(floats == expected.map { Float($0) })
        let doubles = combined(
          family, ANGEL_F64, left.map(Double.init), right.map(Double.init), sizes: sizes, leftStrides: leftStrides,
          rightStrides: rightStrides)
        #expect(doubles == expected)
      }
    }
  }

  @Test("maximum and minimum pass a NaN on from either side")
  func nan() {
    let padding = [Float](repeating: 0, count: 20)
    for family in [ANGEL_FAMILY_maximum, ANGEL_FAMILY_minimum] {
      let output = combined(
        family, ANGEL_F32, [.nan, 1, 2] + padding, [1, .nan, 2] + padding, sizes: [23], leftStrides: [1],
        rightStrides: [1])
      #expect(output == [nil, nil, 2] + padding)
    }
  }
}

@Suite struct ReductionKernelTests {
  @Test(
    "sum and max reduce a middle axis",
    arguments: [(1, 1000, 1), (7, 33, 1), (1, 5, 200), (3, 17, 70), (2, 0, 3)])
  func reduces(_ outer: Int, _ size: Int, _ inner: Int) {
    var random = TestRandom(state: UInt64(outer * size + inner))
    let input = random.floats(outer * size * inner) + [0]
    func reduced(_ family: angel_family) -> [Float] {
      everyVariant(family, ANGEL_F32) { run in
        TestMemory.scope { memory in
          let output = memory.room(outer * inner, of: Float.nan)
          run(
            angel_reduce_arguments(
              input: memory.copy(input), output: output, outer: Int64(outer), size: Int64(size), inner: Int64(inner)))
          return array(output, outer * inner)
        }
      }
    }
    var sums: [Float] = []
    var maxima: [Float] = []
    for o in 0..<outer {
      for i in 0..<inner {
        let axis = (0..<size).map { input[(o * size + $0) * inner + i] }
        sums.append(Float(axis.reduce(0.0) { $0 + Double($1) }))
        maxima.append(axis.max() ?? -.infinity)
      }
    }
    #expect(reduced(ANGEL_FAMILY_sum) == sums)
    #expect(reduced(ANGEL_FAMILY_max) == maxima)
  }

  @Test("gather takes rows by index, whatever their dtype")
  func gathers() {
    let indices: [Int32] = [4, 0, 4, 2, 1, 3, 3]
    let table = (0..<5 * 9).map { Double($0) }
    let expected = indices.flatMap { index in (0..<9).map { table[Int(index) * 9 + $0] } }
    func gathered<Value: Equatable & BitwiseCopyable>(_ dtype: angel_dtype, _ values: [Value]) -> [Value] {
      everyVariant(ANGEL_FAMILY_gather, dtype) { run in
        TestMemory.scope { memory in
          let output = memory.room(63, of: values[0])
          run(
            angel_gather_arguments(
              table: memory.copy(values), indices: memory.copy(indices), output: output, rows: 7, count: 5, width: 9))
          return array(output, 63)
        }
      }
    }
    #expect(gathered(ANGEL_F64, table) == expected)
    #expect(gathered(ANGEL_F32, table.map(Float.init)) == expected.map(Float.init))
    #expect(gathered(ANGEL_BF16, table.map(UInt16.init)) == expected.map(UInt16.init))
    #expect(gathered(ANGEL_U8, table.map(UInt8.init)) == expected.map(UInt8.init))
  }
}

@Suite struct ContractKernelTests {
  private struct Sizes {
    var batch: Int, m: Int, n: Int, k: Int
    /// Both inputs stored with their last two axes exchanged.
    var transposed: Bool
    func left(_ b: Int, _ i: Int, _ l: Int) -> Int { b * m * k + (transposed ? l * m + i : i * k + l) }
    func right(_ b: Int, _ l: Int, _ j: Int) -> Int { b * k * n + (transposed ? j * k + l : l * n + j) }
  }

  private func product<Value: BinaryFloatingPoint & BitwiseCopyable>(
    _ dtype: angel_dtype, _ left: [Value], _ right: [Value], _ s: Sizes
  ) -> [Value] {
    everyVariant(ANGEL_FAMILY_contract, dtype) { run in
      TestMemory.scope { memory in
        let output = memory.room(s.batch * s.m * s.n, of: Value(-1))
        run(
          angel_contract_arguments(
            left: memory.copy(left), right: memory.copy(right), output: output, batch: Int64(s.batch), m: Int64(s.m),
            n: Int64(s.n), k: Int64(s.k), left_batch: Int64(s.m * s.k), left_m: Int64(s.transposed ? 1 : s.k),
            left_k: Int64(s.transposed ? s.m : 1), right_batch: Int64(s.k * s.n),
            right_k: Int64(s.transposed ? 1 : s.n), right_n: Int64(s.transposed ? s.k : 1)))
        return array(output, s.batch * s.m * s.n)
      }
    }
  }

  private func expected<Value: BinaryFloatingPoint>(_ left: [Value], _ right: [Value], _ s: Sizes) -> [Value] {
    (0..<s.batch).flatMap { b in
      (0..<s.m).flatMap { i in
        (0..<s.n).map { j in
          var sum: Value = 0
          for l in 0..<s.k { sum.addProduct(left[s.left(b, i, l)], right[s.right(b, l, j)]) }
          return sum
        }
      }
    }
  }

  @Test(
    "contract is a chain of fused multiply-adds over k, for any strides",
    arguments: [(1, 1, 1, 1), (2, 5, 33, 7), (3, 4, 32, 130), (1, 70, 40, 60), (2, 3, 1, 0)])
  func contracts(_ batch: Int, _ m: Int, _ n: Int, _ k: Int) {
    var random = TestRandom(state: UInt64(batch + m + n + k))
    let left = random.floats(batch * m * k) + [0]
    let right = random.floats(batch * k * n) + [0]
    for transposed in [false, true] {
      let sizes = Sizes(batch: batch, m: m, n: n, k: k, transposed: transposed)
      #expect(product(ANGEL_F32, left, right, sizes) == expected(left, right, sizes))
      let wideLeft = left.map(Double.init)
      let wideRight = right.map(Double.init)
      #expect(product(ANGEL_F64, wideLeft, wideRight, sizes) == expected(wideLeft, wideRight, sizes))
    }
  }
}
