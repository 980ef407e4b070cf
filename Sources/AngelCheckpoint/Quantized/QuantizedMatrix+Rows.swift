import AngelCore

extension QuantizedMatrix {
  /// Runs a function with the numbers 0 ..< count, maybe several at a time.
  typealias Work = (_ count: Int, _ body: @Sendable (Int) -> Void) -> Void

  /// Calls `body` with rows of the matrix as files of `form.dtype` hold them.
  func withRows<Result>(
    _ rows: Range<Int>, performing work: Work = { count, body in for index in 0..<count { body(index) } },
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let rowBytes = form.dtype.byteCount(of: inputs)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: rows.count * rowBytes, alignment: 64)
    defer { bytes.deallocate() }
    let target = Target(bytes: bytes)
    // Sixteen outputs of GPTQ's words are one line of the cache.
    let part = 16
    work((rows.count + part - 1) / part) { index in
      let start = index * part
      let own = start..<min(start + part, rows.count)
      withExtendedLifetime(self) {
        write(
          rows.lowerBound + own.lowerBound..<rows.lowerBound + own.upperBound, rowBytes,
          to: UnsafeMutableRawBufferPointer(
            rebasing: target.bytes[own.lowerBound * rowBytes..<own.upperBound * rowBytes]))
      }
    }
    return try body(UnsafeRawBufferPointer(bytes))
  }

  // SAFETY: each part of the work writes to rows of its own.
  private struct Target: @unchecked Sendable { let bytes: UnsafeMutableRawBufferPointer }

  private func write(_ rows: Range<Int>, _ rowBytes: Int, to target: UnsafeMutableRawBufferPointer) {
    switch values {
    case .float8(let tensor): writeFloats(rows, to: target, Float8.Reader(tensor, inputs: inputs))
    case .codes(let codes, let zeros):
      if form.dtype.isQuantized {
        writeBlocks(rows, rowBytes, to: target, codes.reader, zeros.reader)
      } else {
        writeCodes(rows, to: target, codes.reader, zeros.reader)
      }
    }
  }

  // MARK: Blocks

  private func writeBlocks(
    _ rows: Range<Int>, _ rowBytes: Int, to target: UnsafeMutableRawBufferPointer, _ codes: PackedCodes.Reader,
    _ zeros: GroupZeros.Reader
  ) {
    let scales = scales.reader
    let (format, blockBytes) = (form.dtype, form.dtype.blockBytes)
    for block in 0..<inputs / 32 {
      let group = groups.group(of: 32 * block)
      for row in rows {
        let quants = SIMD4(
          codes.eight(row, 4 * block), codes.eight(row, 4 * block + 1), codes.eight(row, 4 * block + 2),
          codes.eight(row, 4 * block + 3))
        let place = (row - rows.lowerBound) * rowBytes + block * blockBytes
        let zero = zeros.zero(row, group)
        let output = UnsafeMutableRawBufferPointer(rebasing: target[place..<place + blockBytes])
        output.storeBytes(of: Float16(scales.scale(row, group)).bitPattern.littleEndian, as: UInt16.self)
        switch format {
        case .q4_0: Self.storeNibbles(Self.moved(quants, by: 8 - zero), at: 2, output)
        case .q5_0:
          let quants = Self.moved(quants, by: 16 - zero)
          output.storeBytes(of: Self.fifthBits(quants).littleEndian, toByteOffset: 2, as: UInt32.self)
          Self.storeNibbles(quants, at: 6, output)
        default:
          // q8_0 is signed.
          let quants = Self.moved(quants, by: 128 - zero) ^ SIMD4(repeating: 0x8080_8080_8080_8080)
          output.storeBytes(of: quants, toByteOffset: 2, as: SIMD4<UInt64>.self)
        }
      }
    }
  }

  /// The bytes of all with `offset` added, which keeps each between 0 and 255 while the file is what it was found to be.
  @inline(__always)
  private static func moved(_ quants: SIMD4<UInt64>, by offset: Int) -> SIMD4<UInt64> {
    let ones: UInt64 = 0x0101_0101_0101_0101
    return quants &+ SIMD4(repeating: ones &* UInt64(truncatingIfNeeded: offset))
  }

  /// Elements 0 to 15 in the low nibbles, 16 to 31 in the high ones.
  @inline(__always)
  private static func storeNibbles(_ quants: SIMD4<UInt64>, at offset: Int, _ output: UnsafeMutableRawBufferPointer) {
    let low = quants & SIMD4(repeating: 0x0F0F_0F0F_0F0F_0F0F)
    output.storeBytes(of: (low[0] | low[2] << 4).littleEndian, toByteOffset: offset, as: UInt64.self)
    output.storeBytes(of: (low[1] | low[3] << 4).littleEndian, toByteOffset: offset + 8, as: UInt64.self)
  }

  /// Bit i is the fifth of element i.
  @inline(__always)
  private static func fifthBits(_ quants: SIMD4<UInt64>) -> UInt32 {
    // The product brings the lowest bit of each byte into the highest byte, the first one lowest.
    func gathered(_ eight: UInt64) -> UInt32 {
      UInt32(((eight >> 4 & 0x0101_0101_0101_0101) &* 0x0102_0408_1020_4080) >> 56)
    }
    return gathered(quants[0]) | gathered(quants[1]) << 8 | gathered(quants[2]) << 16 | gathered(quants[3]) << 24
  }

  // MARK: Floats

  private func writeCodes(
    _ rows: Range<Int>, to target: UnsafeMutableRawBufferPointer, _ codes: PackedCodes.Reader,
    _ zeros: GroupZeros.Reader
  ) {
    let scales = scales.reader
    for eighth in 0..<(inputs + 7) / 8 {
      for row in rows {
        let quants = codes.eight(row, eighth)
        for index in 0..<min(8, inputs - 8 * eighth) {
          let input = 8 * eighth + index
          let group = groups.group(of: input)
          let code = Int(quants >> UInt64(8 * index) & 255)
          let value = Float(code - zeros.zero(row, group)) * scales.scale(row, group)
          store(value, (row - rows.lowerBound) * inputs + input, target)
        }
      }
    }
  }

  private func writeFloats(_ rows: Range<Int>, to target: UnsafeMutableRawBufferPointer, _ floats: Float8.Reader) {
    let scales = scales.reader
    for row in rows {
      for input in 0..<inputs {
        let value = floats.value(row, input) * scales.scale(row, groups.group(of: input))
        store(value, (row - rows.lowerBound) * inputs + input, target)
      }
    }
  }

  @inline(__always)
  private func store(_ value: Float, _ index: Int, _ target: UnsafeMutableRawBufferPointer) {
    if form.dtype == .float16 {
      target.storeBytes(of: Float16(value).bitPattern.littleEndian, toByteOffset: 2 &* index, as: UInt16.self)
    } else {
      target.storeBytes(of: value.bitPattern.littleEndian, toByteOffset: 4 &* index, as: UInt32.self)
    }
  }
}
