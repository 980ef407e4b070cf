import AngelCore
import CAngelKernels
import Testing

@Suite struct RoutingKernelTests {
  private struct Route: Equatable {
    var experts: [Int32]
    var weights: [UInt32]
  }

  private func route(_ probabilities: [Float], choices: Int, count: Int, normalizes: Bool) -> Route {
    let rows = probabilities.count / choices
    return everyVariant(ANGEL_FAMILY_route, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let experts = memory.room(rows * count, of: Int32(-1))
        let weights = memory.room(rows * count, of: Float.infinity)
        run(
          angel_route_arguments(
            probabilities: memory.copy(probabilities), experts: experts, weights: weights, rows: Int64(rows),
            choices: Int64(choices), count: Int64(count), normalizes: normalizes ? 1 : 0))
        return Route(experts: array(experts, rows * count), weights: bits(array(weights, rows * count)))
      }
    }
  }

  @Test(
    "The largest probabilities are chosen, best first and of equals the lower index",
    arguments: [(1, 1), (8, 1), (8, 2), (8, 8), (64, 6), (128, 8)], [false, true])
  func choice(size: (choices: Int, count: Int), normalizes: Bool) {
    var random = TestRandom(state: UInt64(size.choices * 100 + size.count))
    // Few different values, so that there are many equals.
    let values = (0..<7 * size.choices).map { _ in (random.unitFloat() * 8).rounded() / 8 + 2 }
    var want = Route(experts: [], weights: [])
    for row in 0..<7 {
      let own = Array(values[row * size.choices..<(row + 1) * size.choices])
      let best = own.indices.sorted { (own[$1], $0) < (own[$0], $1) }.prefix(size.count)
      let sum = best.reduce(Float(0)) { $0 + own[$1] }
      want.experts += best.map { Int32($0) }
      want.weights += best.map { (normalizes ? own[$0] / sum : own[$0]).bitPattern }
    }
    #expect(route(values, choices: size.choices, count: size.count, normalizes: normalizes) == want)
  }

  @Test("NaNs give experts in range that differ, and weights that are NaN")
  func notANumber() {
    let result = route([Float](repeating: .nan, count: 2 * 9), choices: 9, count: 4, normalizes: true)
    for row in 0..<2 { #expect(Set(result.experts[row * 4..<row * 4 + 4]).isSubset(of: Set(0..<9))) }
    #expect(Set(result.experts[..<4]).count == 4)
    #expect(result.weights == [UInt32](repeating: Float.nan.bitPattern, count: 8))
  }

  @Test("Slots are ordered by expert, then by row", arguments: [(1, 1, 1), (5, 2, 3), (40, 3, 7), (64, 8, 128)])
  func order(rows: Int, count: Int, choices: Int) {
    var random = TestRandom(state: 3)
    let experts = (0..<rows * count).map { _ in Int32(abs(random.unitFloat()) * Float(choices)) % Int32(choices) }
    let slots = experts.count
    let got: [[Int32]] = everyVariant(ANGEL_FAMILY_expert_order, ANGEL_I32) { run in
      TestMemory.scope { memory in
        let offsets = memory.room(choices + 1, of: Int32(-1))
        let others = (0..<3).map { _ in memory.room(slots, of: Int32(-1)) }
        run(
          angel_expert_order_arguments(
            experts: memory.copy(experts), offsets: offsets, rows: others[0], sorted: others[1], places: others[2],
            slots: Int64(slots), count: Int64(count), choices: Int64(choices)))
        return [array(offsets, choices + 1)] + others.map { array($0, slots) }
      }
    }
    let sorted = (0..<slots).sorted { (experts[$0], $0) < (experts[$1], $1) }
    #expect(got[0] == (0...choices).map { bound in Int32(experts.count { $0 < Int32(bound) }) })
    #expect(got[1] == sorted.map { Int32($0 / count) })
    #expect(got[2] == sorted.map { experts[$0] })
    #expect(sorted.enumerated().allSatisfy { got[3][$1] == Int32($0) })
  }
}

@Suite struct ExpertProductKernelTests {
  /// What an expert's weights are, and what rows are turned into for them.
  static let products: [(DType, DType)] = [
    (.float32, .float32), (.bfloat16, .float32), (.q8_0, .float32), (.bfloat16, .bfloat16Rows), (.q4_1, .int8Rows),
    (.q8_0, .int8Rows), (.q6_K, .int8Rows),
  ]

  /// Groups of several sizes, empty ones too, against the matmul kernel run on each group by itself.
  @Test("Every group has the bits of a product of its own, whatever the others", arguments: products)
  func groups(dtype: DType, rows: DType) {
    let (columns, depth, sizes) = (50, 256, [0, 1, 17, 0, 5, 33])
    let weights = sizes.indices.map { PackedWeight(dtype, columns: columns, depth: depth, seed: 20 + UInt64($0)) }
    let input = Activations(rows: sizes.reduce(0, +), depth: depth)
    let offsets = sizes.reduce(into: [Int32(0)]) { $0.append($0[$0.count - 1] + Int32($1)) }
    TestMemory.scope { memory in
      let (values, rowBytes) = turned(input, into: rows, memory)
      let count = input.rows * columns
      let alone = memory.room(count, of: Float.nan)
      let multiply = angel_kernel_lookup(ANGEL_FAMILY_matmul, angel_dtype(rows), angel_dtype(dtype), ANGEL_NO_DTYPE)
      for (index, weight) in weights.enumerated() where sizes[index] > 0 {
        let first = Int(offsets[index])
        launch(
          multiply,
          angel_matmul_arguments(
            input: values + first * rowBytes, weight: weight.packed.address, bias: nil, output: alone + first * columns,
            rows: Int64(sizes[index]), depth: Int64(depth), columns: Int64(columns), accumulates: 0))
      }
      let addresses = memory.copy(weights.map { UnsafeRawPointer($0.packed.address) as UnsafeRawPointer? })
      let together: [UInt32] = everyVariant(
        ANGEL_FAMILY_expert_matmul, angel_dtype(rows), angel_dtype(dtype), tilesDiffer: rows == .bfloat16Rows
      ) { run in
        let output = memory.room(count, of: Float.nan)
        run(
          angel_expert_matmul_arguments(
            input: values, weights: addresses, offsets: memory.copy(offsets), output: output,
            choices: Int64(sizes.count), depth: Int64(depth), columns: Int64(columns), input_dtype: angel_dtype(rows),
            weight_dtype: angel_dtype(dtype)))
        return array(output, count).map(\.bitPattern)
      }
      #expect(together == array(alone, count).map(\.bitPattern))
    }
  }

  /// The rows as a product takes them, and the bytes of one.
  private func turned(_ input: Activations, into dtype: DType, _ memory: TestMemory) -> (UnsafeRawPointer, Int) {
    let depth = input.depth
    let values = memory.copy(input.values)
    guard dtype != .float32 else { return (UnsafeRawPointer(values), depth * 4) }
    let rowBytes =
      dtype == .int8Rows ? Int(angel_int8_row_bytes(Int64(depth))) : Int(angel_bf16_row_bytes(Int64(depth)))
    let target = memory.room(input.rows * rowBytes, of: UInt8(0))
    launch(
      angel_kernel_lookup(ANGEL_FAMILY_quantize_rows, ANGEL_F32, angel_dtype(dtype), ANGEL_NO_DTYPE),
      angel_quantize_rows_arguments(input: values, output: target, rows: Int64(input.rows), depth: Int64(depth)))
    return (UnsafeRawPointer(target), rowBytes)
  }

  @Test("A weighted sum adds its terms in order, best first", arguments: [1, 15, 16, 100])
  func sum(width: Int) {
    var random = TestRandom(state: 8)
    let (rows, count) = (5, 3)
    let (input, weights) = (random.floats(rows * count * width), random.floats(rows * count))
    let places = (0..<rows * count).map { Int32(($0 * 7) % (rows * count)) }
    let got: [UInt32] = everyVariant(ANGEL_FAMILY_expert_sum, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(rows * width, of: Float.nan)
        run(
          angel_expert_sum_arguments(
            input: memory.copy(input), weights: memory.copy(weights), places: memory.copy(places), output: output,
            rows: Int64(rows), count: Int64(count), width: Int64(width)))
        return bits(array(output, rows * width))
      }
    }
    let want: [Float] = (0..<rows * width).map { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: width)
      let terms = (0..<count).map { k in
        (weights[row * count + k], input[Int(places[row * count + k]) * width + column])
      }
      return terms.dropFirst().reduce(terms[0].0 * terms[0].1) { $0.addingProduct($1.0, $1.1) }
    }
    #expect(got == bits(want))
  }
}

@Suite struct ExpertGradientKernelTests {
  private static let sizes = [0, 1, 17, 0, 5, 33]
  private static let offsets = sizes.reduce(into: [Int32(0)]) { $0.append($0[$0.count - 1] + Int32($1)) }

  @Test(
    "What a group adds up to for its weight has the bits of a product of its own",
    arguments: [DType.float32, .bfloat16])
  func outer(dtype: DType) {
    var random = TestRandom(state: 12)
    let (places, lines, columns) = (Self.sizes.reduce(0, +), 19, 50)
    let (left, right) = (random.floats(places * lines), random.floats(places * columns))
    let rowDType: DType = dtype == .float32 ? .float32 : .bfloat16Rows
    TestMemory.scope { memory in
      let offsets = memory.copy(Self.offsets)
      func arranged(_ family: angel_family, _ values: [Float], _ width: Int, _ target: DType, _ room: Int64) -> [UInt8]
      {
        everyVariant(family, ANGEL_F32, angel_dtype(target)) { run in
          let bytes = memory.room(Int(room), of: UInt8(0))
          run(
            angel_expert_arrange_arguments(
              source: memory.copy(values), target: bytes, offsets: offsets, choices: Int64(Self.sizes.count),
              width: Int64(width), source_dtype: ANGEL_F32, target_dtype: angel_dtype(target)))
          return array(bytes, Int(room))
        }
      }
      let (p, e) = (Int64(places), Int64(Self.sizes.count))
      let rows = arranged(
        ANGEL_FAMILY_expert_arrange_rows, left, lines, rowDType,
        angel_expert_rows_bytes(angel_dtype(dtype), p, e, Int64(lines)))
      let panels = arranged(
        ANGEL_FAMILY_expert_arrange_panels, right, columns, dtype,
        angel_expert_panels_bytes(angel_dtype(dtype), p, e, Int64(columns)))
      let count = Self.sizes.count * lines * columns
      let together: [UInt32] = everyVariant(
        ANGEL_FAMILY_expert_outer, angel_dtype(rowDType), angel_dtype(dtype), tilesDiffer: dtype == .bfloat16
      ) { run in
        let output = memory.room(count, of: Float.nan)
        run(
          angel_expert_outer_arguments(
            rows: memory.copy(rows), panels: memory.copy(panels), offsets: offsets, output: output,
            choices: e, lines: Int64(lines), columns: Int64(columns), rows_dtype: angel_dtype(rowDType),
            panels_dtype: angel_dtype(dtype)))
        return array(output, count).map(\.bitPattern)
      }
      var want = [Float](repeating: 0, count: count)
      for (group, size) in Self.sizes.enumerated() {
        for index in 0..<lines * columns {
          let (n, k) = index.quotientAndRemainder(dividingBy: columns)
          var sum: Float = 0
          for place in Int(Self.offsets[group])..<Int(Self.offsets[group]) + size {
            sum.addProduct(left[place * lines + n], right[place * columns + k])
          }
          want[group * lines * columns + index] = sum
        }
      }
      guard dtype == .float32 else {
        let got = together.map { Float(bitPattern: $0) }
        #expect(zip(got, want).allSatisfy { abs($0 - $1) < 0.05 })
        return
      }
      #expect(together == want.map(\.bitPattern))
    }
  }

  @Test("A sum's gradients are the weighted gradient and dot products", arguments: [1, 15, 16, 100])
  func sumBackward(width: Int) {
    var random = TestRandom(state: 9)
    let (rows, count) = (5, 3)
    let input = random.floats(rows * count * width)
    let (weights, gradient) = (random.floats(rows * count), random.floats(rows * width))
    let places = (0..<rows * count).map { Int32(($0 * 7) % (rows * count)) }
    let got: [[Float]] = everyVariant(ANGEL_FAMILY_expert_sum_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let inputs = memory.room(rows * count * width, of: Float.nan)
        let shares = memory.room(rows * count, of: Float.nan)
        run(
          angel_expert_sum_backward_arguments(
            input: memory.copy(input), weights: memory.copy(weights), places: memory.copy(places),
            gradient: memory.copy(gradient), input_gradient: inputs, weight_gradient: shares, rows: Int64(rows),
            count: Int64(count), width: Int64(width)))
        return [array(inputs, rows * count * width), array(shares, rows * count)]
      }
    }
    for slot in 0..<rows * count {
      let (row, place) = (slot / count, Int(places[slot]))
      let dot = (0..<width).reduce(0.0) {
        $0 + Double(gradient[row * width + $1]) * Double(input[place * width + $1])
      }
      #expect(abs(Double(got[1][slot]) - dot) < 1e-5 * Double(width))
      #expect((0..<width).allSatisfy { got[0][place * width + $0] == weights[slot] * gradient[row * width + $0] })
    }
  }

  @Test("Without weights a sum of places is plain, best first, for float32 and bfloat16")
  func plainSum() {
    var random = TestRandom(state: 10)
    let (rows, count, width) = (4, 3, 21)
    let halves = random.floats(rows * count * width).map { UInt16($0.bitPattern >> 16) }
    let wide = halves.map { Float(bitPattern: UInt32($0) << 16) }
    let places = (0..<rows * count).map { Int32(($0 * 5) % (rows * count)) }
    func sum<Element: BitwiseCopyable>(_ values: [Element], _ dtype: angel_dtype) -> [Float] {
      everyVariant(ANGEL_FAMILY_expert_sum, dtype) { run in
        TestMemory.scope { memory in
          let output = memory.room(rows * width, of: Float.nan)
          run(
            angel_expert_sum_arguments(
              input: memory.copy(values), weights: nil, places: memory.copy(places), output: output,
              rows: Int64(rows), count: Int64(count), width: Int64(width)))
          return array(output, rows * width)
        }
      }
    }
    let want: [Float] = (0..<rows * width).map { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: width)
      let terms = (0..<count).map { wide[Int(places[row * count + $0]) * width + column] }
      return terms.dropFirst().reduce(terms[0]) { $0 + $1 }
    }
    #expect(sum(wide, ANGEL_F32) == want)
    #expect(sum(halves, ANGEL_BF16) == want)
  }

  @Test("The gradient of routing reaches the chosen probabilities alone", arguments: [0, 1] as [Int32])
  func routeBackward(normalizes: Int32) {
    let probabilities: [Float] = [0.1, 0.5, 0.25, 0.15]
    let weights: [Float] = normalizes == 1 ? [0.5 / 0.75, 0.25 / 0.75] : [0.5, 0.25]
    let got: [Float] = everyVariant(ANGEL_FAMILY_route_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let output = memory.room(4, of: Float.nan)
        run(
          angel_route_backward_arguments(
            probabilities: memory.copy(probabilities), experts: memory.copy([1, 2] as [Int32]),
            weights: memory.copy(weights), weight_gradient: memory.copy([3, -1] as [Float]), gradient: output, rows: 1,
            choices: 4, count: 2, normalizes: normalizes))
        return array(output, 4)
      }
    }
    let pull: Float = normalizes == 1 ? 3 * weights[0] - weights[1] : 0
    let scale: Float = normalizes == 1 ? 0.75 : 1
    for (value, want) in zip(got, [0, (3 - pull) / scale, (-1 - pull) / scale, 0]) { #expect(abs(value - want) < 1e-6) }
  }
}
