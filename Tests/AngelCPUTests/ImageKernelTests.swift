import AngelCore
import CAngelKernels
import Testing

@Suite struct ImageKernelTests {
  /// batch, height, width, channels in and out, kernel, stride, padding, dilation, groups.
  static let shapes: [[Int64]] = [
    [2, 6, 7, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1], [1, 5, 5, 20, 18, 3, 3, 2, 2, 1, 1, 1, 1, 1],
    [1, 7, 8, 4, 6, 3, 2, 1, 2, 2, 0, 2, 1, 2], [2, 3, 4, 17, 40, 1, 1, 1, 1, 0, 0, 1, 1, 1],
    [1, 8, 8, 4, 4, 4, 4, 2, 2, 1, 1, 1, 1, 4], [1, 8, 8, 3, 5, 2, 2, 2, 2, 0, 0, 1, 1, 1],
    [1, 3, 300, 5, 33, 3, 3, 2, 3, 1, 1, 1, 1, 1],
  ]

  private func shape(_ v: [Int64]) -> angel_conv2d_shape {
    angel_conv2d_shape(
      batch: v[0], height: v[1], width: v[2], channels: v[3],
      out_height: (v[1] + 2 * v[9] - v[11] * (v[5] - 1) - 1) / v[7] + 1,
      out_width: (v[2] + 2 * v[10] - v[12] * (v[6] - 1) - 1) / v[8] + 1, out_channels: v[4], kernel_height: v[5],
      kernel_width: v[6], stride_y: v[7], stride_x: v[8], padding_y: v[9], padding_x: v[10], dilation_y: v[11],
      dilation_x: v[12], groups: v[13])
  }

  /// The chain of conv2d.h in plain loops.
  private func reference(_ s: angel_conv2d_shape, _ x: [Float], _ w: [Float], _ bias: [Float]) -> [Float] {
    let (inner, outer) = (Int(s.channels / s.groups), Int(s.out_channels / s.groups))
    var result: [Float] = []
    for n in 0..<Int(s.batch) {
      for y in 0..<Int(s.out_height) {
        for x0 in 0..<Int(s.out_width) {
          for o in 0..<Int(s.out_channels) {
            var sum: Float = 0
            for i in 0..<Int(s.kernel_height) {
              for j in 0..<Int(s.kernel_width) {
                let row = y * Int(s.stride_y) - Int(s.padding_y) + i * Int(s.dilation_y)
                let column = x0 * Int(s.stride_x) - Int(s.padding_x) + j * Int(s.dilation_x)
                guard row >= 0, row < Int(s.height), column >= 0, column < Int(s.width) else { continue }
                let from = ((n * Int(s.height) + row) * Int(s.width) + column) * Int(s.channels) + o / outer * inner
                let by = ((o * Int(s.kernel_height) + i) * Int(s.kernel_width) + j) * inner
                for c in 0..<inner { sum.addProduct(x[from + c], w[by + c]) }
              }
            }
            result.append(sum + bias[o])
          }
        }
      }
    }
    return result
  }

  @Test(
    "A convolution is one chain over taps and channels, whatever the instruction set and the parts", arguments: shapes)
  func convolution(_ sizes: [Int64]) {
    var random = TestRandom(state: 4)
    let s = shape(sizes)
    let x = random.floats(Int(s.batch * s.height * s.width * s.channels))
    let w = random.floats(Int(s.out_channels * s.kernel_height * s.kernel_width * s.channels / s.groups))
    let bias = random.floats(Int(s.out_channels))
    TestMemory.scope { memory in
      let panels = panels(s, w, transposed: 0, memory)
      let count = Int(s.batch * s.out_height * s.out_width * s.out_channels)
      let got: [UInt32] = everyVariant(ANGEL_FAMILY_conv2d, ANGEL_F32) { run in
        let output = memory.room(count, of: Float.nan)
        run(
          angel_conv2d_arguments(
            input: memory.copy(x), panels: memory.copy(panels), bias: memory.copy(bias), output: output, shape: s))
        return bits(array(output, count))
      }
      #expect(got == bits(reference(s, x, w, bias)))
    }
  }

  private func panels(_ s: angel_conv2d_shape, _ w: [Float], transposed: Int32, _ memory: TestMemory) -> [Float] {
    let (inner, outer) = (s.channels / s.groups, s.out_channels / s.groups)
    let (columns, depth) = transposed == 1 ? (inner, outer) : (outer, inner)
    let count = Int(s.groups * s.kernel_height * s.kernel_width * ((columns + 15) / 16 * 16) * depth)
    return everyVariant(ANGEL_FAMILY_conv2d_panels, ANGEL_F32) { run in
      let target = memory.room(count, of: Float.infinity)
      run(
        angel_conv2d_panels_arguments(
          weight: memory.copy(w), panels: target, shape: s, dtype: ANGEL_F32, transposed: transposed))
      return array(target, count)
    }
  }

  @Test("Gradients have one order too, and are those of the definition", arguments: shapes)
  func gradients(_ sizes: [Int64]) {
    var random = TestRandom(state: 5)
    var s = shape(sizes)
    let (inner, outer) = (Int(s.channels / s.groups), Int(s.out_channels / s.groups))
    let x = random.floats(Int(s.batch * s.height * s.width * s.channels))
    let w = random.floats(Int(s.out_channels * s.kernel_height * s.kernel_width) * inner)
    let dy = random.floats(Int(s.batch * s.out_height * s.out_width * s.out_channels))
    let line = Int(angel_conv2d_line(&s))
    let plane = Int(angel_conv2d_plane_height(&s) * angel_conv2d_plane_width(&s) * s.stride_y * s.stride_x)
    TestMemory.scope { memory in
      let panels = panels(s, w, transposed: 1, memory)
      let dx: [Float] = everyVariant(ANGEL_FAMILY_conv2d_input_backward, ANGEL_F32) { run in
        let output = memory.room(x.count, of: Float.nan)
        run(
          angel_conv2d_arguments(
            input: memory.copy(dy), panels: memory.copy(panels), bias: nil, output: output, shape: s))
        return array(output, x.count)
      }
      func arranged(_ family: angel_family, _ values: [Float], _ count: Int) -> [Float] {
        everyVariant(family, ANGEL_F32) { run in
          let target = memory.room(count, of: Float.infinity)
          run(angel_conv2d_arrange_arguments(source: memory.copy(values), target: target, shape: s))
          return array(target, count)
        }
      }
      let lines = arranged(ANGEL_FAMILY_conv2d_lines, dy, Int(s.batch * s.out_channels) * line)
      let planes = arranged(
        ANGEL_FAMILY_conv2d_planes, x, Int(s.batch * s.groups) * ((inner + 15) / 16 * 16) * plane)
      let dw: [Float] = everyVariant(ANGEL_FAMILY_conv2d_weight_backward, ANGEL_F32) { run in
        let output = memory.room(w.count, of: Float.nan)
        run(
          angel_conv2d_weight_backward_arguments(
            lines: memory.copy(lines), planes: memory.copy(planes), output: output, shape: s))
        return array(output, w.count)
      }
      let want = definition(s, x, w, dy, inner, outer)
      #expect(greatestError(dx, want.dx, floor: 1) < 1e-5)
      #expect(greatestError(dw, want.dw, floor: 1) < 1e-5)
    }
  }

  /// Both gradients in float64.
  private func definition(
    _ s: angel_conv2d_shape, _ x: [Float], _ w: [Float], _ dy: [Float], _ inner: Int, _ outer: Int
  ) -> (dx: [Double], dw: [Double]) {
    var (dx, dw) = ([Double](repeating: 0, count: x.count), [Double](repeating: 0, count: w.count))
    var index = 0
    for n in 0..<Int(s.batch) {
      for y in 0..<Int(s.out_height) {
        for x0 in 0..<Int(s.out_width) {
          for o in 0..<Int(s.out_channels) {
            let gradient = Double(dy[index])
            index += 1
            for i in 0..<Int(s.kernel_height) {
              for j in 0..<Int(s.kernel_width) {
                let row = y * Int(s.stride_y) - Int(s.padding_y) + i * Int(s.dilation_y)
                let column = x0 * Int(s.stride_x) - Int(s.padding_x) + j * Int(s.dilation_x)
                guard row >= 0, row < Int(s.height), column >= 0, column < Int(s.width) else { continue }
                let from = ((n * Int(s.height) + row) * Int(s.width) + column) * Int(s.channels) + o / outer * inner
                let by = ((o * Int(s.kernel_height) + i) * Int(s.kernel_width) + j) * inner
                for c in 0..<inner {
                  dx[from + c] += gradient * Double(w[by + c])
                  dw[by + c] += gradient * Double(x[from + c])
                }
              }
            }
          }
        }
      }
    }
    return (dx, dw)
  }

  @Test("Group norm and its sums have one order", arguments: [(1, 5, 3), (2, 70, 16), (1, 33, 50)], [0, 1] as [Int32])
  func groupNorm(size: (batch: Int, places: Int, channels: Int), silu: Int32) {
    var random = TestRandom(state: 6)
    let (batch, places, channels) = size
    let (count, perChannel) = (batch * places * channels, batch * channels)
    let (x, dy) = (random.floats(count), random.floats(count))
    let (weight, bias) = (random.floats(channels), random.floats(channels))
    let (sizes, b, c) = (Int64(places), Int64(batch), Int64(channels))
    TestMemory.scope { memory in
      let moments: [[Float]] = everyVariant(ANGEL_FAMILY_channel_moments, ANGEL_F32) { run in
        let (centres, squares) = (memory.room(perChannel, of: Float.nan), memory.room(perChannel, of: Float.nan))
        run(
          angel_channel_moments_arguments(
            input: memory.copy(x), centres: centres, squares: squares, batch: b, places: sizes, channels: c))
        return [array(centres, perChannel), array(squares, perChannel)]
      }
      for index in 0..<perChannel {
        let (n, channel) = index.quotientAndRemainder(dividingBy: channels)
        let values = (0..<places).map { Double(x[(n * places + $0) * channels + channel]) }
        let mean = values.reduce(0, +) / Double(places)
        #expect(abs(Double(moments[0][index]) - mean) < 1e-6)
        #expect(abs(Double(moments[1][index]) - values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }) < 1e-4)
      }
      let (centres, scales) = (memory.copy(moments[0]), memory.copy(moments[1].map { 1 / ($0 + 1) }))
      let normalized: [UInt32] = everyVariant(ANGEL_FAMILY_group_norm, ANGEL_F32) { run in
        let output = memory.room(count, of: Float.nan)
        run(
          angel_group_norm_arguments(
            input: memory.copy(x), centres: centres, scales: scales, weight: memory.copy(weight),
            bias: memory.copy(bias), output: output, batch: b, places: sizes, channels: c, has_silu: silu))
        return bits(array(output, count))
      }
      #expect(normalized.count == count)
      func backward(_ family: angel_family) -> [UInt32] {
        everyVariant(family, ANGEL_F32) { run in
          let (dx, sums) = (memory.room(count, of: Float(0)), memory.room(perChannel, of: Float(0)))
          let products = memory.room(perChannel, of: Float(0))
          run(
            angel_group_norm_backward_arguments(
              input: memory.copy(x), gradient: memory.copy(dy), centres: centres, scales: scales,
              weight: memory.copy(weight), bias: memory.copy(bias), centre_pulls: centres, scale_pulls: scales,
              input_gradient: dx, gradient_sums: sums, product_sums: products, batch: b, places: sizes, channels: c,
              has_silu: silu))
          return bits(array(dx, count) + array(sums, perChannel) + array(products, perChannel))
        }
      }
      #expect(backward(ANGEL_FAMILY_group_norm_backward).contains { $0 != 0 })
      #expect(backward(ANGEL_FAMILY_group_norm_sums_backward).contains { $0 != 0 })
    }
  }

  @Test("Resampling repeats and averages, on every instruction set", arguments: [1, 5, 16, 21])
  func resampling(channels: Int) {
    var random = TestRandom(state: 7)
    let (batch, height, width, factor) = (2, 3, 2, 2)
    let small = random.floats(batch * height * width * channels)
    let largeCount = small.count * factor * factor
    func run(_ family: angel_family, _ values: [Float], _ count: Int, _ scale: Float) -> [Float] {
      everyVariant(family, ANGEL_F32) { run in
        TestMemory.scope { memory in
          let output = memory.room(count, of: Float.nan)
          run(
            angel_resample_arguments(
              input: memory.copy(values), output: output, batch: Int64(batch), height: Int64(height),
              width: Int64(width), channels: Int64(channels), factor: Int64(factor), scale: scale))
          return array(output, count)
        }
      }
    }
    let large = run(ANGEL_FAMILY_upsample, small, largeCount, 1)
    for index in 0..<largeCount {
      let (place, channel) = index.quotientAndRemainder(dividingBy: channels)
      let (row, x) = place.quotientAndRemainder(dividingBy: width * factor)
      #expect(large[index] == small[(row / factor * width + x / factor) * channels + channel])
    }
    #expect(run(ANGEL_FAMILY_downsample, large, small.count, 0.25) == small)
  }
}
