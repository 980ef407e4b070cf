import AngelCore
import CAngelKernels
import Testing

/// Runs the copy kernel over a strided source; the output is contiguous. Elements may be given and taken as bits.
func copied<Source: BitwiseCopyable, Target: BitwiseCopyable & Equatable>(
  _ source: [Source], _ from: angel_dtype, _ to: angel_dtype, zero: Target, sizes: [Int]? = nil,
  strides: [Int]? = nil, offset: Int = 0
) -> [Target] {
  let sizes = sizes ?? [source.count]
  let count = sizes.reduce(1, *)
  return everyVariant(ANGEL_FAMILY_copy, from, to) { run in
    TestMemory.scope { memory in
      let target = memory.room(count, of: zero)
      var arguments = angel_copy_arguments()
      arguments.source = UnsafeRawPointer(memory.copy(source) + offset)
      arguments.target = UnsafeMutableRawPointer(target)
      fill(&arguments.sizes, sizes, with: 1)
      fill(&arguments.strides, strides ?? [1], with: 0)
      run(arguments)
      return array(target, count)
    }
  }
}

/// Right-aligns `values` in a C array of ANGEL_RANK elements.
func fill<Tuple>(_ tuple: inout Tuple, _ values: [Int], with padding: Int64) {
  withUnsafeMutableBytes(of: &tuple) { bytes in
    let elements = bytes.bindMemory(to: Int64.self)
    for index in 0..<elements.count {
      let place = index - (elements.count - values.count)
      elements[index] = place >= 0 ? Int64(values[place]) : padding
    }
  }
}

@Suite struct ConversionKernelTests {
  private let halves = (0...UInt16.max).map { $0 }

  @Test("Every float16 widens to its value")
  func widensFloat16() {
    let floats = copied(halves, ANGEL_F16, ANGEL_F32, zero: UInt32(0))
    let wrong = halves.filter {
      let expected = Float(Float16(bitPattern: $0))
      let actual = floats[Int($0)]
      return expected.isNaN ? !Float(bitPattern: actual).isNaN : actual != expected.bitPattern
    }
    #expect(wrong.isEmpty)
  }

  @Test("Every bfloat16 widens to its value and comes back, NaNs quiet")
  func widensBFloat16() {
    let floats = copied(halves, ANGEL_BF16, ANGEL_F32, zero: UInt32(0))
    #expect(floats == halves.map { UInt32($0) << 16 })
    let back = copied(floats, ANGEL_F32, ANGEL_BF16, zero: UInt16(0))
    let wrong = halves.filter {
      back[Int($0)] != (Float(bitPattern: UInt32($0) << 16).isNaN ? $0 | 0x40 : $0)
    }
    #expect(wrong.isEmpty)
  }

  /// Every finite 16-bit float, the midpoint to its successor, the float32s beside that midpoint, and special values.
  private func roundingCases(_ widen: (UInt16) -> Float) -> [Float] {
    halves.filter { widen($0).isFinite }.flatMap { half -> [Float] in
      let value = widen(half)
      let next = widen(half &+ 1)
      let middle = next.isFinite ? value + (next - value) / 2 : value
      return [value, middle, middle.nextUp, middle.nextDown]
    } + [.infinity, -.infinity, .nan, 65519.996, 65520, 1e9, -1e9, 0x1p-25, 0x1.000002p-25, .leastNonzeroMagnitude]
  }

  @Test("Narrowing to float16 rounds to nearest even, subnormals and infinities included")
  func narrowsFloat16() {
    let cases = roundingCases { Float(Float16(bitPattern: $0)) }
    let actual = copied(cases, ANGEL_F32, ANGEL_F16, zero: UInt16(0))
    let doubles = copied(cases.map(Double.init), ANGEL_F64, ANGEL_F16, zero: UInt16(0))
    for results in [actual, doubles] {
      let wrong = zip(cases, results).filter { value, half in
        value.isNaN ? !Float16(bitPattern: half).isNaN : half != Float16(value).bitPattern
      }
      #expect(wrong.isEmpty, "\(wrong.prefix(3))")
    }
  }

  @Test("Narrowing to bfloat16 rounds to nearest even")
  func narrowsBFloat16() {
    let cases = roundingCases { Float(bitPattern: UInt32($0) << 16) }
    let actual = copied(cases, ANGEL_F32, ANGEL_BF16, zero: UInt16(0))
    let wrong = zip(cases, actual).filter { value, half in
      if value.isNaN { return !Float(bitPattern: UInt32(half) << 16).isNaN }
      let low = value.bitPattern >> 16
      let rest = value.bitPattern & 0xffff
      let up = rest > 0x8000 || (rest == 0x8000 && low & 1 == 1)
      return UInt32(half) != low + (up ? 1 : 0)
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(3))")
  }

  @Test("float64 and int64 round to 16 bits once, not twice")
  func roundsOnce() {
    // A hair above a tie: rounding to float32 first would land on the tie and go down.
    let values = [1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11, -1 - 0x1p-11 - 0x1p-40]
    #expect(copied(values, ANGEL_F64, ANGEL_F16, zero: UInt16(0)) == [0x3c01, 0x3c00, 0xbc01])
    let brain = copied([1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-8], ANGEL_F64, ANGEL_BF16, zero: UInt16(0))
    #expect(brain == [0x3f81, 0x3f80])
    let tie = Int64(1) << 62 + Int64(1) << 54
    let integers: [Int64] = [tie, tie + 1, -tie - 1, .min, .max, 3]
    #expect(
      copied(integers, ANGEL_I64, ANGEL_BF16, zero: UInt16(0)) == [0x5e80, 0x5e81, 0xde81, 0xdf00, 0x5f00, 0x4040])
  }

  @Test("Floats become integers by truncation, saturating, NaN as 0")
  func truncates() {
    let values: [Double] = [1.9, -1.9, 300, -300, 1e10, -1e10, 1e30, -1e30, .infinity, -.infinity, .nan, 255.5]
    #expect(copied(values, ANGEL_F64, ANGEL_U8, zero: UInt8(0)) == [1, 0, 255, 0, 255, 0, 255, 0, 255, 0, 0, 255])
    let high = Int32.max
    let low = Int32.min
    #expect(
      copied(values, ANGEL_F64, ANGEL_I32, zero: Int32(0))
        == [1, -1, 300, -300, high, low, high, low, high, low, 0, 255])
    #expect(
      copied(values.map(Float.init), ANGEL_F32, ANGEL_I64, zero: Int64(0))
        == [1, -1, 300, -300, 10_000_000_000, -10_000_000_000, .max, .min, .max, .min, 0, 255])
  }

  @Test("Integers keep their value or saturate")
  func integers() {
    let values: [Int64] = [0, -1, 256, 1 << 40, .max, .min, (1 << 53) + 1]
    #expect(copied(values, ANGEL_I64, ANGEL_U8, zero: UInt8(9)) == [0, 0, 255, 255, 255, 0, 255])
    #expect(copied(values, ANGEL_I64, ANGEL_I32, zero: Int32(9)) == [0, -1, 256, .max, .max, .min, .max])
    #expect(copied(values, ANGEL_I64, ANGEL_F64, zero: Double(9)) == values.map(Double.init))
    #expect(copied(values, ANGEL_I64, ANGEL_F32, zero: Float(9)) == values.map(Float.init))
    let bytes = [UInt8](0...255)
    #expect(copied(bytes, ANGEL_U8, ANGEL_F16, zero: UInt16(9)) == bytes.map { Float16($0).bitPattern })
    let large: [Int32] = [.min, 70000, 7]
    #expect(copied(large, ANGEL_I32, ANGEL_F16, zero: UInt16(9)) == [0xfc00, 0x7c00, 0x4700])
  }

  @Test("Every pair of plain dtypes has a copy, and no other")
  func pairs() {
    for first in UInt8(0)...6 {
      for second in UInt8(0)...6 {
        let kernel = angel_kernel_lookup(
          ANGEL_FAMILY_copy, angel_dtype(rawValue: first), angel_dtype(rawValue: second), ANGEL_NO_DTYPE)
        #expect(kernel != nil)
      }
    }
    #expect(angel_kernel_lookup(ANGEL_FAMILY_copy, ANGEL_Q4_0, ANGEL_F32, ANGEL_NO_DTYPE) == nil)
    #expect(angel_kernel_lookup(ANGEL_FAMILY_copy, ANGEL_F32, ANGEL_INT8_ROWS, ANGEL_NO_DTYPE) == nil)
  }

  @Test("copy permutes, broadcasts and slices by strides, converting or not")
  func strides() {
    let source = (0..<Int32(3 * 5 * 40)).map { $0 }
    let cases: [([Int], [Int], Int)] = [
      ([3, 5, 40], [200, 40, 1], 0), ([5, 3, 40], [40, 200, 1], 0), ([40, 5, 3], [1, 40, 200], 0),
      ([2, 3, 5, 40], [0, 200, 40, 1], 0), ([3, 7, 40], [200, 0, 1], 0), ([3, 5, 7], [200, 40, 0], 3),
      ([3, 4, 33], [200, 40, 1], 42), ([3, 5, 20], [200, 40, 2], 1), ([1, 1, 1], [9, 9, 9], 17),
      ([5, 40], [-40, 1], 160), ([0, 40], [40, 1], 0),
    ]
    for (sizes, strides, offset) in cases {
      var places = [offset]
      for (size, stride) in zip(sizes, strides) {
        places = places.flatMap { place in (0..<size).map { place + $0 * stride } }
      }
      let values = places.map { source[$0] }
      let moved = copied(
        source, ANGEL_I32, ANGEL_I32, zero: Int32(-1), sizes: sizes, strides: strides, offset: offset)
      #expect(moved == values)
      let halves = copied(
        source.map(Float.init), ANGEL_F32, ANGEL_F16, zero: UInt16(0), sizes: sizes, strides: strides, offset: offset)
      #expect(halves == values.map { Float16($0).bitPattern })
      let wide = copied(
        source.map(Double.init), ANGEL_F64, ANGEL_I64, zero: Int64(0), sizes: sizes, strides: strides, offset: offset)
      #expect(wide == values.map(Int64.init))
    }
  }
}
