import AngelCore
import CAngelKernels
import Testing

/// Rounding by what the inputs are: the factor that errors are spread by, and the rows rounded with it.
@Suite struct FitRowsKernelTests {
  private static let depth = 96

  /// Inputs that go together and are of very different size, and what is known of them.
  private struct Inputs {
    let moments: [Float]
    let importance: [Float]
    let order: [Int32]

    init(_ random: inout TestRandom) {
      let depth = FitRowsKernelTests.depth
      var sums = [Double](repeating: 0, count: depth * depth)
      for _ in 0..<400 {
        let shared = random.floats(8)
        let x = (0..<depth).map { i -> Double in
          let value = shared[i % 8] + 0.3 * random.unitFloat()
          return i == 7 ? 50 * Double(value) : Double(value) / Double(1 + i % 5)
        }
        for i in 0..<depth { for j in 0..<depth { sums[i * depth + j] += x[i] * x[j] / 400 } }
      }
      moments = sums.map { Float($0) }
      let importance = (0..<depth).map { Float(sums[$0 * depth + $0]) }
      self.importance = importance
      order = (0..<Int32(depth)).sorted { (importance[Int($1)], $0) < (importance[Int($0)], $1) }
    }

    /// (w - ŵ)ᵀ H (w - ŵ), summed over rows.
    func loss(_ wanted: [Float], _ found: [Float]) -> Double {
      let depth = FitRowsKernelTests.depth
      var total = 0.0
      for row in stride(from: 0, to: wanted.count, by: depth) {
        let misses = (0..<depth).map { Double(wanted[row + $0]) - Double(found[row + $0]) }
        for i in 0..<depth {
          for j in 0..<depth { total += misses[i] * misses[j] * Double(moments[i * depth + j]) }
        }
      }
      return total
    }
  }

  private func factor(_ inputs: Inputs, damping: Double) -> [Float] {
    let depth = Self.depth
    return everyVariant(ANGEL_FAMILY_inverse_factor, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(depth * depth, of: Float.nan)
        run(
          angel_inverse_factor_arguments(
            moments: memory.copy(inputs.moments), order: memory.copy(inputs.order), factor: output,
            scratch: memory.room(depth * depth, of: Double.nan), depth: Int64(depth), damping: damping))
        return array(output, depth * depth)
      }
    }
  }

  /// The blocks of a format, and the values they stand for.
  private func fitted(
    _ weight: [Float], _ dtype: DType, importance: [Float]?, factor: [Float]? = nil, order: [Int32]? = nil,
    whole: [Float]? = nil
  ) throws -> (blocks: [UInt8], values: [Float]) {
    let (depth, rows) = (Self.depth, weight.count / Self.depth)
    let byteCount = dtype.byteCount(of: weight.count)
    let blocks: [UInt8] = everyVariant(ANGEL_FAMILY_fit_rows, ANGEL_F32, angel_dtype(dtype.rawValue)) { run in
      TestMemory.scope { memory in
        let output = memory.room(byteCount, of: UInt8(0xAA))
        run(
          angel_fit_rows_arguments(
            input: memory.copy(weight), whole: whole.map { UnsafePointer(memory.copy($0)) },
            importance: importance.map { UnsafePointer(memory.copy($0)) },
            factor: factor.map { UnsafePointer(memory.copy($0)) }, order: order.map { UnsafePointer(memory.copy($0)) },
            output: output, scratch: memory.room(rows * (depth + depth / 8), of: Float.nan),
            quants: memory.room(rows * depth, of: UInt8(9)), rows: Int64(rows), depth: Int64(depth)))
        return array(output, byteCount)
      }
    }
    return (blocks, BlockReference.values(dtype, blocks[...]))
  }

  @Test("Uᵀ U is the inverse of the damped moments, in their order")
  func inverse() {
    var random = TestRandom(state: 41)
    let (depth, inputs, damping) = (Self.depth, Inputs(&random), 0.02)
    let factor = factor(inputs, damping: damping)
    var mean = 0.0
    for i in 0..<depth { mean += Double(inputs.importance[i]) / Double(depth) }
    func moment(_ i: Int, _ j: Int) -> Double {
      let (a, b) = (Int(inputs.order[i]), Int(inputs.order[j]))
      let value = Double(inputs.moments[a * depth + b])
      return a == b ? value * (1 + damping) + 1e-9 * mean : value
    }
    // U (H + Λ) Uᵀ = I
    var worst = 0.0
    for i in 0..<depth {
      var row = [Double](repeating: 0, count: depth)
      for j in 0..<depth { for k in i..<depth { row[j] += Double(factor[i * depth + k]) * moment(k, j) } }
      for j in 0..<depth {
        var value = 0.0
        for k in j..<depth { value += row[k] * Double(factor[j * depth + k]) }
        worst = max(worst, abs(value - (i == j ? 1 : 0)))
      }
      #expect((0..<i).allSatisfy { factor[i * depth + $0] == 0 })
    }
    #expect(worst < 1e-5)
  }

  @Test("Moments of nothing are inverted too")
  func nothing() {
    let depth = 3
    let output: [Float] = TestMemory.scope { memory in
      let output = memory.room(9, of: Float.nan)
      launch(
        angel_kernel_lookup(ANGEL_FAMILY_inverse_factor, ANGEL_F32, ANGEL_NO_DTYPE, ANGEL_NO_DTYPE),
        angel_inverse_factor_arguments(
          moments: memory.room(9, of: Float(0)), order: memory.copy([Int32(2), 0, 1]), factor: output,
          scratch: memory.room(9, of: Double.nan), depth: Int64(depth), damping: 0.01))
      return array(output, 9)
    }
    #expect(output == [1, 0, 0, 0, 1, 0, 0, 0, 1])
  }

  @Test(
    "GPTQ loses less than weighted scales, and these less than the nearest values",
    arguments: [DType.q4_0, .q4_1, .q5_0, .q5_1])
  func losses(dtype: DType) throws {
    var random = TestRandom(state: 5)
    let inputs = Inputs(&random)
    let weight = random.floats(9 * Self.depth, scale: 0.05)
    let factor = factor(inputs, damping: 0.01)
    let nearest: [UInt8] = TestMemory.scope { memory in
      let output = memory.room(dtype.byteCount(of: weight.count), of: UInt8(0))
      launch(
        angel_kernel_lookup(ANGEL_FAMILY_encode_rows, ANGEL_F32, angel_dtype(dtype.rawValue), ANGEL_NO_DTYPE),
        angel_encode_rows_arguments(
          input: memory.copy(weight), output: output, rows: 9, depth: Int64(Self.depth)))
      return array(output, dtype.byteCount(of: weight.count))
    }
    let weighted = try fitted(weight, dtype, importance: inputs.importance)
    let spread = try fitted(
      weight, dtype, importance: inputs.importance, factor: factor, order: inputs.order)
    let losses = [BlockReference.values(dtype, nearest[...]), weighted.values, spread.values].map {
      inputs.loss(weight, $0)
    }
    #expect(losses[1] < 0.95 * losses[0])
    #expect(losses[2] < 0.6 * losses[1])
  }

  @Test("Quants are those of the paper's algorithm, column by column, with the scales of the file")
  func algorithm() throws {
    var random = TestRandom(state: 77)
    let (depth, inputs) = (Self.depth, Inputs(&random))
    let weight = random.floats(5 * depth, scale: 0.05)
    let factor = factor(inputs, damping: 0.01)
    let found = try fitted(weight, .q4_0, importance: inputs.importance, factor: factor, order: inputs.order)
    var expected: [Float] = []
    for row in 0..<5 {
      var left = inputs.order.map { weight[row * depth + Int($0)] }
      var values = [Float](repeating: 0, count: depth)
      for step in 0..<depth {
        let column = Int(inputs.order[step])
        let block = (row * depth + column) / 32 * 18
        let d = Float(Float16(bitPattern: UInt16(found.blocks[block]) | UInt16(found.blocks[block + 1]) << 8))
        let quant = min(15, max(0, (left[step] * (d == 0 ? 0 : 1 / d) + 8.5).rounded(.down)))
        values[column] = d * (quant - 8)
        let error = (left[step] - values[column]) / factor[step * depth + step]
        for next in step + 1..<depth { left[next] -= error * factor[step * depth + next] }
      }
      expected += values
    }
    #expect(found.values == expected)
  }

  @Test("Rows of zeros and rows of one value stay what they are")
  func flat() throws {
    let weight = [Float](repeating: 0, count: Self.depth) + [Float](repeating: 0.5, count: Self.depth)
    for dtype in [DType.q4_0, .q4_1, .q5_0, .q5_1, .q8_0] {
      let values = try fitted(weight, dtype, importance: nil).values
      #expect(zip(values, weight).allSatisfy { abs($0 - $1) < 0.01 }, "\(dtype.name)")
    }
  }

  @Test("Zeros chosen before stay zeros, and columns after make up for them", arguments: [DType.q8_0, .q4_0])
  func pruned(_ dtype: DType) throws {
    var random = TestRandom(state: 45)
    let inputs = Inputs(&random)
    let whole = random.floats(11 * Self.depth)
    var kept = whole
    for quad in stride(from: 0, to: whole.count, by: 4) {
      let scores = (quad..<quad + 4).sorted {
        abs(whole[$0]) * inputs.importance[$0 % Self.depth].squareRoot()
          < abs(whole[$1]) * inputs.importance[$1 % Self.depth].squareRoot()
      }
      for place in scores.prefix(2) { kept[place] = 0 }
    }
    let factor = factor(inputs, damping: 0.01)
    let plain = try fitted(kept, dtype, importance: inputs.importance)
    let spread = try fitted(
      kept, dtype, importance: inputs.importance, factor: factor, order: inputs.order, whole: whole)
    for values in [plain.values, spread.values] {
      #expect(zip(values, kept).allSatisfy { $0 == 0 || $1 != 0 })
    }
    #expect(inputs.loss(whole, spread.values) < 0.7 * inputs.loss(whole, plain.values))
  }
}
