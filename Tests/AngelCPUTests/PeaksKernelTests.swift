import AngelCore
import CAngelKernels
import Testing

@Suite("The peaks kernels")
struct PeaksKernelTests {
  static let sets = [
    ANGEL_ISA_SCALAR, ANGEL_ISA_AVX2, ANGEL_ISA_AVX512, ANGEL_ISA_AVX512_BF16, ANGEL_ISA_AMX, ANGEL_ISA_NEON,
  ]

  private func kernel(_ isa: angel_isa, _ what: DType) -> angel_kernel? {
    angel_kernel_lookup_for(isa, ANGEL_FAMILY_peaks, angel_dtype(what.rawValue), ANGEL_NO_DTYPE, ANGEL_NO_DTYPE)
  }

  @Test("reading sees every byte once, for every instruction set and any number of parts", arguments: sets)
  func reading(with isa: angel_isa) {
    guard let read = kernel(isa, .uint8) else { return }
    // The sink of a part is the exclusive or of words 0, 5, 10 and 15 of its lines: flipping a bit of such a word shows.
    let count = 9 * 4096
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { buffer.deallocate() }
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    for (parts, streams) in [(1, 1), (1, 4), (2, 1), (2, 4), (7, 1), (7, 4)] as [(Int32, Int32)] {
      for line in [0, 1, 63, 64, 300, count / 64 - 1] {
        buffer[64 * line] = 1
        var sinks = [UInt32](repeating: 7, count: Int(parts))
        sinks.withUnsafeMutableBufferPointer { sinks in
          var arguments = angel_peaks_arguments(
            rounds: 0, bytes: UnsafeRawPointer(buffer.baseAddress), count: Int64(count), streams: streams,
            sinks: sinks.baseAddress)
          for part in 0..<parts { read(&arguments, part, parts) }
        }
        #expect(sinks.reduce(0, ^) == 1, "line \(line) with \(parts) parts in \(streams) streams")
        buffer[64 * line] = 0
      }
    }
  }

  @Test("arithmetic kernels fill their sinks, and there is none where the CPU lacks the instruction", arguments: sets)
  func arithmetic(with isa: angel_isa) {
    for what in [DType.float32, .bfloat16, .int8Rows] {
      guard let run = kernel(isa, what) else { continue }
      var sinks: [UInt32] = [7, 7]
      sinks.withUnsafeMutableBufferPointer { sinks in
        var arguments = angel_peaks_arguments(rounds: 11, bytes: nil, count: 0, streams: 1, sinks: sinks.baseAddress)
        for part in 0..<2 as Range<Int32> { run(&arguments, part, 2) }
      }
      // All operands are zero.
      #expect(sinks == [0, 0])
      #expect(angel_peaks_round_operations(angel_dtype(what.rawValue)) > 0)
    }
    // What does without vector instructions has no roof of its own.
    #if arch(x86_64)
      #expect(kernel(ANGEL_ISA_SCALAR, .float32) == nil)
    #endif
  }
}
