import AngelCore
import CAngelKernels
import Glibc
import Testing

@Suite struct NormBackwardKernelTests {
  @Test("rmsnorm_backward equals its formula in float64", arguments: [1, 15, 16, 33, 576])
  func rows(_ width: Int) {
    var random = TestRandom(state: UInt64(width))
    let rows = 5
    let (input, gradient) = (random.floats(rows * width, scale: 3), random.floats(rows * width))
    let weight = random.floats(width)
    let output: [[Float]] = everyVariant(ANGEL_FAMILY_rmsnorm_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (result, scales) = (memory.room(rows * width, of: Float.nan), memory.room(rows, of: Float.nan))
        run(
          angel_norm_backward_arguments(
            input: memory.copy(input), gradient: memory.copy(gradient), weight: memory.copy(weight),
            input_gradient: result, scales: scales, centres: nil, rows: Int64(rows), width: Int64(width), epsilon: 1e-5)
        )
        return [array(result, rows * width), array(scales, rows)]
      }
    }
    var (expected, scales): ([Double], [Double]) = ([], [])
    for row in 0..<rows {
      let x = input[row * width..<(row + 1) * width].map(Double.init)
      let h = zip(gradient[row * width..<(row + 1) * width], weight).map { Double($0) * Double($1) }
      let scale = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(width) + Double(Float(1e-5))).squareRoot()
      let pull = zip(h, x).reduce(0) { $0 + $1.0 * $1.1 } / Double(width) * scale * scale
      expected += zip(h, x).map { ($0 - $1 * pull) * scale }
      scales.append(scale)
    }
    #expect(greatestError(output[0], expected, floor: 0.1) < 2e-6 && greatestError(output[1], scales) < 5e-7)
  }

  @Test("layernorm_backward equals its formula in float64", arguments: [1, 15, 16, 33, 576])
  func centredRows(_ width: Int) {
    var random = TestRandom(state: UInt64(width))
    let rows = 5
    let (input, gradient) = (random.floats(rows * width, scale: 3), random.floats(rows * width))
    let weight = random.floats(width)
    let output: [[Float]] = everyVariant(ANGEL_FAMILY_layernorm_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (result, scales) = (memory.room(rows * width, of: Float.nan), memory.room(rows, of: Float.nan))
        let centres = memory.room(rows, of: Float.nan)
        run(
          angel_norm_backward_arguments(
            input: memory.copy(input), gradient: memory.copy(gradient), weight: memory.copy(weight),
            input_gradient: result, scales: scales, centres: centres, rows: Int64(rows), width: Int64(width),
            epsilon: 1e-2))
        return [array(result, rows * width), array(scales, rows), array(centres, rows)]
      }
    }
    var (expected, scales, centres): ([Double], [Double], [Double]) = ([], [], [])
    for row in 0..<rows {
      let x = input[row * width..<(row + 1) * width].map(Double.init)
      let h = zip(gradient[row * width..<(row + 1) * width], weight).map { Double($0) * Double($1) }
      let centre = x.reduce(0, +) / Double(width)
      let variance = x.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / Double(width)
      let scale = 1 / (variance + Double(Float(1e-2))).squareRoot()
      let mean = h.reduce(0, +) / Double(width)
      let pull = zip(h, x).reduce(0) { $0 + $1.0 * ($1.1 - centre) } / Double(width) * scale * scale
      expected += zip(h, x).map { ($0 - mean - ($1 - centre) * pull) * scale }
      scales.append(scale)
      centres.append(centre)
    }
    #expect(greatestError(output[0], expected, floor: 0.1) < 5e-6 && greatestError(output[1], scales) < 2e-6)
    #expect(greatestError(output[2], centres, floor: 0.1) < 2e-6)
  }

  @Test("norm_weight_backward sums the rows in its tree", arguments: [(1, 3), (32, 16), (33, 17), (500, 40)])
  func columns(_ rows: Int, _ width: Int) {
    var random = TestRandom(state: UInt64(rows))
    let (input, gradient) = (random.floats(rows * width), random.floats(rows * width))
    let (scales, centres) = (random.floats(rows), random.floats(rows))
    let output: [[Float]] = everyVariant(ANGEL_FAMILY_norm_weight_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (weight, bias) = (memory.room(width, of: Float.nan), memory.room(width, of: Float.nan))
        run(
          angel_norm_weight_backward_arguments(
            input: memory.copy(input), gradient: memory.copy(gradient), scales: memory.copy(scales),
            centres: memory.copy(centres), weight_gradient: weight, bias_gradient: bias, rows: Int64(rows),
            width: Int64(width)))
        return [array(weight, width), array(bias, width)]
      }
    }
    /// Chains of 32 rows; the sum of n chains is that of the largest power of two below n, then of the rest.
    func tree(_ column: Int, _ term: (Int, Float) -> Float) -> Float {
      var levels: [(chains: Int, sum: Float)] = []
      for begin in stride(from: 0, to: rows, by: 32) {
        var sum = (begin..<min(begin + 32, rows)).reduce(Float(0)) { term($1, $0) }
        var chains = 1
        while let last = levels.last, last.chains == chains {
          sum = last.sum + sum
          chains *= 2
          levels.removeLast()
        }
        levels.append((chains, sum))
      }
      var sum = levels.removeLast().sum
      while let last = levels.popLast() { sum = last.sum + sum }
      return sum
    }
    for column in 0..<width {
      let weight = tree(column) { row, sum in
        sum.addingProduct(gradient[row * width + column], (input[row * width + column] - centres[row]) * scales[row])
      }
      #expect(output[0][column] == weight)
      #expect(output[1][column] == tree(column) { row, sum in sum + gradient[row * width + column] })
    }
  }
}

@Suite struct GELUBackwardKernelTests {
  @Test(
    "gelu_backward and geglu_backward equal their formulas in float64", arguments: [ANGEL_GELU_ERF, ANGEL_GELU_TANH])
  func formula(_ form: angel_gelu_form) {
    var random = TestRandom(state: 5)
    let count = 333
    let (gate, up, gradient) = (random.floats(count, scale: 6), random.floats(count), random.floats(count))
    let single: [Float] = everyVariant(ANGEL_FAMILY_gelu_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let result = memory.room(count, of: Float.nan)
        run(
          angel_gelu_backward_arguments(
            input: memory.copy(gate), gradient: memory.copy(gradient), input_gradient: result, count: Int64(count),
            form: form))
        return array(result, count)
      }
    }
    let gated: [[Float]] = everyVariant(ANGEL_FAMILY_geglu_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (first, second) = (memory.room(count, of: Float.nan), memory.room(count, of: Float.nan))
        run(
          angel_geglu_backward_arguments(
            gate: memory.copy(gate), up: memory.copy(up), gradient: memory.copy(gradient), gate_gradient: first,
            up_gradient: second, count: Int64(count), form: form))
        return [array(first, count), array(second, count)]
      }
    }
    func gelu(_ x: Double) -> Double {
      if form == ANGEL_GELU_ERF { return x * erfc(-x / 2.0.squareRoot()) / 2 }
      return x / (1 + exp(-(8 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    }
    var (slopes, gates, ups): ([Double], [Double], [Double]) = ([], [], [])
    for index in 0..<count {
      let (x, dy) = (Double(gate[index]), Double(gradient[index]))
      let slope = (gelu(x + 1e-5) - gelu(x - 1e-5)) / 2e-5
      slopes.append(dy * slope)
      gates.append(dy * Double(up[index]) * slope)
      ups.append(dy * gelu(x))
    }
    #expect(greatestError(single, slopes, floor: 0.1) < 5e-6 && greatestError(gated[0], gates, floor: 0.1) < 5e-6)
    #expect(greatestError(gated[1], ups, floor: 0.1) < 2e-6)
  }
}

@Suite struct SwiGLUBackwardKernelTests {
  @Test("swiglu_backward equals its formula in float64", arguments: [1, 16, 31, 1000])
  func formula(_ count: Int) {
    var random = TestRandom(state: UInt64(count))
    let (gate, up, gradient) = (random.floats(count, scale: 10), random.floats(count), random.floats(count))
    let output: [[Float]] = everyVariant(ANGEL_FAMILY_swiglu_backward, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (first, second) = (memory.room(count, of: Float.nan), memory.room(count, of: Float.nan))
        run(
          angel_swiglu_backward_arguments(
            gate: memory.copy(gate), up: memory.copy(up), gradient: memory.copy(gradient), gate_gradient: first,
            up_gradient: second, count: Int64(count)))
        return [array(first, count), array(second, count)]
      }
    }
    var (gates, ups): ([Double], [Double]) = ([], [])
    for index in 0..<count {
      let (x, dy) = (Double(gate[index]), Double(gradient[index]))
      let sigmoid = 1 / (1 + exp(-x))
      let slope = sigmoid + x * sigmoid * (1 - sigmoid)
      gates.append(dy * Double(up[index]) * slope)
      ups.append(dy * x * sigmoid)
    }
    #expect(greatestError(output[0], gates) < 5e-6 && greatestError(output[1], ups) < 2e-6)
  }
}

@Suite struct CrossEntropyKernelTests {
  @Test("losses and gradients equal their formulas in float64", arguments: [1, 15, 16, 100, 4099])
  func formula(_ width: Int) {
    var random = TestRandom(state: UInt64(width))
    let (rows, smoothing, penalty) = (4, 0.1, 0.02)
    let logits = random.floats(rows * width, scale: 20)
    let targets: [Int32] = [0, Int32(width - 1), Int32(width / 2), 0]
    let weights: [Float] = [1, 0.25, 0, 3]
    let output: [[Float]] = everyVariant(ANGEL_FAMILY_cross_entropy, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (x, losses) = (memory.copy(logits), memory.room(rows, of: Float.nan))
        run(
          angel_cross_entropy_arguments(
            logits: x, targets: memory.copy(targets), weights: memory.copy(weights), losses: losses, gradient: x,
            rows: Int64(rows), vocabulary: Int64(width), smoothing: Float(smoothing), penalty: Float(penalty)))
        return [array(losses, rows), array(x, rows * width)]
      }
    }
    var (losses, gradients): ([Double], [Double]) = ([], [])
    for row in 0..<rows {
      let x = logits[row * width..<(row + 1) * width].map(Double.init)
      let (weight, target, maximum) = (Double(weights[row]), Int(targets[row]), x.max() ?? 0)
      let z = maximum + log(x.reduce(0) { $0 + exp($1 - maximum) })
      let mean = x.reduce(0, +) / Double(width)
      losses.append(weight * (z - (1 - smoothing) * x[target] - smoothing * mean + penalty * z * z))
      gradients += x.indices.map { index in
        let spread = smoothing / Double(width) + (index == target ? 1 - smoothing : 0)
        return weight * ((1 + 2 * penalty * z) * exp(x[index] - z) - spread)
      }
    }
    #expect(
      greatestError(output[0], losses, floor: 0.1) < 2e-6 && greatestError(output[1], gradients, floor: 0.1) < 2e-5)
  }

  @Test("a row without weight takes no part, whatever its logits are")
  func weightless() {
    let output: [UInt32] = everyVariant(ANGEL_FAMILY_cross_entropy, ANGEL_F32) { run in
      TestMemory.scope { memory in
        let (losses, gradient) = (memory.room(1, of: Float.nan), memory.room(3, of: Float.nan))
        run(
          angel_cross_entropy_arguments(
            logits: memory.copy([.nan, .infinity, 1]), targets: memory.copy([1 as Int32]), weights: memory.copy([0]),
            losses: losses, gradient: gradient, rows: 1, vocabulary: 3, smoothing: 0, penalty: 0))
        return bits(array(losses, 1) + array(gradient, 3))
      }
    }
    #expect(output == [0, 0, 0, 0])
  }
}

@Suite struct SegmentAttentionKernelTests {
  @Test(
    "every variant gives the same bits, forward and backward", arguments: [(16, false), (20, true)], [false, true])
  func variants(_ sizeAndMask: (Int, Bool), isBFloat16: Bool) {
    let (size, isCausal) = sizeAndMask
    var random = TestRandom(state: UInt64(size))
    let (heads, groups, bounds): (Int, Int, [Int32]) = (4, 2, [0, 3, 40, 157])
    let rows = Int(bounds[3])
    let counts = [rows * heads * size, rows * groups * size]
    let (queries, gradient) = (random.floats(counts[0]), random.floats(counts[0]))
    let (keys, values) = (random.floats(counts[1]), random.floats(counts[1]))
    let dtype = isBFloat16 ? ANGEL_BF16 : ANGEL_F32
    func elements(_ values: [Float], _ memory: TestMemory) -> UnsafeMutableRawPointer {
      guard isBFloat16 else { return UnsafeMutableRawPointer(memory.copy(values)) }
      return UnsafeMutableRawPointer(memory.copy(values.map { UInt16(truncatingIfNeeded: $0.bitPattern >> 16) }))
    }
    func room(_ count: Int, _ memory: TestMemory) -> UnsafeMutableRawPointer {
      elements([Float](repeating: .nan, count: count), memory)
    }
    func floats(_ pointer: UnsafeMutableRawPointer, _ count: Int) -> [Float] {
      guard isBFloat16 else { return array(pointer.assumingMemoryBound(to: Float.self), count) }
      return array(pointer.assumingMemoryBound(to: UInt16.self), count).map { Float(bitPattern: UInt32($0) << 16) }
    }
    func shape(_ bounds: UnsafePointer<Int32>) -> angel_segment_attention_shape {
      angel_segment_attention_shape(
        bounds: bounds, rows: Int64(rows), segments: 3, heads: Int64(heads), kv_heads: Int64(groups),
        head_size: Int64(size), scale: 0.25, softcap: isCausal ? 2 : 0, window: isCausal ? 0 : 9,
        causal: isCausal ? 1 : 0)
    }
    let forward: [[Float]] = everyVariant(ANGEL_FAMILY_segment_attention, dtype) { run in
      TestMemory.scope { memory in
        let output = room(counts[0], memory)
        let logSums = memory.room(rows * heads, of: Float.nan)
        run(
          angel_segment_attention_arguments(
            queries: elements(queries, memory), keys: elements(keys, memory), values: elements(values, memory),
            output: output, logsumexp: logSums, shape: shape(memory.copy(bounds))))
        return [floats(output, counts[0]), array(logSums, rows * heads)]
      }
    }
    let backward: [[Float]] = everyVariant(ANGEL_FAMILY_segment_attention_backward, dtype) { run in
      TestMemory.scope { memory in
        let results = [counts[0], counts[1], counts[1]].map { room($0, memory) }
        let sums =
          isBFloat16
          ? memory.room(counts[0], of: Float.nan) : results[0].assumingMemoryBound(to: Float.self)
        run(
          angel_segment_attention_backward_arguments(
            queries: elements(queries, memory), keys: elements(keys, memory), values: elements(values, memory),
            output: elements(forward[0], memory), logsumexp: memory.copy(forward[1]),
            gradient: elements(gradient, memory), query_gradient: results[0], key_gradient: results[1],
            value_gradient: results[2], query_sums: sums, shape: shape(memory.copy(bounds))))
        return zip(results, [counts[0], counts[1], counts[1]]).map { floats($0, $1) }
      }
    }
    #expect((forward + backward).allSatisfy { $0.allSatisfy(\.isFinite) })
  }
}
