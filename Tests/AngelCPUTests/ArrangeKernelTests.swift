import CAngelKernels
import Testing

/// A matrix of `lines` x `depth` and where its elements lie.
struct ArrangedMatrix: Sendable, CustomTestStringConvertible {
  let lines: Int
  let depth: Int
  /// Whether the elements of a line follow each other, rather than those of one depth.
  let isByLine: Bool

  var testDescription: String { "\(lines) x \(depth), \(isByLine ? "by line" : "by depth")" }
  var lineStride: Int { isByLine ? depth : 1 }
  var depthStride: Int { isByLine ? 1 : lines }
  func index(_ line: Int, _ k: Int) -> Int { line * lineStride + k * depthStride }
}

private func rounded(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
}

private func widened(_ half: UInt16) -> Float { Float(bitPattern: UInt32(half) << 16) }

@Suite("Operands of changing matrices") struct ArrangeKernelTests {
  static let matrices = [
    (16, 32), (1, 1), (17, 33), (5, 64), (48, 31), (100, 77), (33, 96),
  ].flatMap { sizes in
    [true, false].map { ArrangedMatrix(lines: sizes.0, depth: sizes.1, isByLine: $0) }
  }

  private func values(_ matrix: ArrangedMatrix) -> [Float] {
    var random = TestRandom(state: 5)
    return random.floats(matrix.lines * matrix.depth)
  }

  private func arrange(
    _ family: angel_family, _ matrix: ArrangedMatrix, _ target: angel_dtype, words: Int, isHalf: Bool
  ) -> [UInt32] {
    let values = values(matrix)
    return everyVariant(family, isHalf ? ANGEL_BF16 : ANGEL_F32, target) {
      (run: (angel_arrange_arguments) -> Void) in
      TestMemory.scope { memory in
        let output = memory.room(words, of: UInt32(0xA5A5_A5A5))
        let source: UnsafeRawPointer =
          isHalf ? UnsafeRawPointer(memory.copy(values.map(rounded))) : UnsafeRawPointer(memory.copy(values))
        run(
          angel_arrange_arguments(
            source: source, target: output, lines: Int64(matrix.lines), depth: Int64(matrix.depth),
            line_stride: Int64(matrix.lineStride), depth_stride: Int64(matrix.depthStride)))
        return array(output, words)
      }
    }
  }

  /// The value of a line at a depth as bfloat16, zero outside of the matrix.
  private func half(_ values: [Float], _ matrix: ArrangedMatrix, _ line: Int, _ k: Int) -> UInt32 {
    guard line < matrix.lines, k < matrix.depth else { return 0 }
    return UInt32(rounded(values[matrix.index(line, k)]))
  }

  @Test("bfloat16 panels hold pairs of depth for sixteen lines, padded with zeros", arguments: matrices)
  func halfPanels(_ matrix: ArrangedMatrix) {
    let (values, pairs, panels) = (values(matrix), (matrix.depth + 1) / 2, (matrix.lines + 15) / 16)
    let expected = (0..<panels).flatMap { panel in
      (0..<pairs).flatMap { pair in
        (panel * 16..<panel * 16 + 16).map {
          half(values, matrix, $0, 2 * pair) | half(values, matrix, $0, 2 * pair + 1) << 16
        }
      }
    }
    for isHalf in [false, true] {
      let words = arrange(ANGEL_FAMILY_arrange_panels, matrix, ANGEL_BF16, words: expected.count, isHalf: isHalf)
      #expect(words == expected)
    }
  }

  @Test("float32 panels hold sixteen lines at each depth", arguments: matrices)
  func floatPanels(_ matrix: ArrangedMatrix) {
    let (values, panels) = (values(matrix), (matrix.lines + 15) / 16)
    for isHalf in [false, true] {
      let expected = (0..<panels).flatMap { panel in
        (0..<matrix.depth).flatMap { k in
          (panel * 16..<panel * 16 + 16).map { line -> UInt32 in
            guard line < matrix.lines else { return 0 }
            let value = values[matrix.index(line, k)]
            return (isHalf ? widened(rounded(value)) : value).bitPattern
          }
        }
      }
      let words = arrange(ANGEL_FAMILY_arrange_panels, matrix, ANGEL_F32, words: expected.count, isHalf: isHalf)
      #expect(words == expected)
    }
  }

  @Test("rows hold a line each, bfloat16 ones padded to whole cache lines", arguments: matrices)
  func rows(_ matrix: ArrangedMatrix) {
    let (values, words) = (values(matrix), Int(angel_bf16_row_bytes(Int64(matrix.depth))) / 4)
    let halves = (0..<matrix.lines).flatMap { line in
      (0..<words).map { half(values, matrix, line, 2 * $0) | half(values, matrix, line, 2 * $0 + 1) << 16 }
    }
    for isHalf in [false, true] {
      let rows = arrange(ANGEL_FAMILY_arrange_rows, matrix, ANGEL_BF16_ROWS, words: halves.count, isHalf: isHalf)
      #expect(rows == halves)
    }
    let floats = (0..<matrix.lines).flatMap { line in
      (0..<matrix.depth).map { values[matrix.index(line, $0)].bitPattern }
    }
    #expect(arrange(ANGEL_FAMILY_arrange_rows, matrix, ANGEL_F32, words: floats.count, isHalf: false) == floats)
  }
}
