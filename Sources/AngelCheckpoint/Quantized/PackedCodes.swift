import AngelCore

/// Whole numbers of a few bits as other programs pack them into files, read eight inputs of one output at a time.
///
/// Sources: the packing of AutoGPTQ and GPTQModel (`qlinear`), of AutoAWQ (`gemm.py`) and of compressed-tensors
/// (`pack_quantized`). All are little-endian streams of bits; they differ in what follows what.
struct PackedCodes: Sendable {
  enum Layout: Sendable {
    /// Words [inputs · bits / 32, outputs], each along the inputs: GPTQ.
    case wordsOfInputs
    /// Words [outputs, inputs · bits / 32], rounded up, each along the inputs: compressed-tensors.
    case wordsOfRows
    /// Words [inputs, outputs / 8] of nibbles in the order `AWQOrder`: AWQ.
    case interleavedOutputs
    /// Signed bytes [outputs, inputs]; read with 128 added.
    case signedBytes
  }

  let tensor: StoredBytes
  let layout: Layout
  /// 2, 3, 4 or 8.
  let bits: Int
  let outputs: Int
  let inputs: Int

  /// Access to the codes without checks; valid while the tensor's file lives.
  var reader: Reader { Reader(self) }

  struct Reader {
    private let base: UnsafeRawBufferPointer
    private let layout: Layout
    private let bits: Int
    private let inputs: Int
    /// Words from one output to the next, and from one word of an output to its next one.
    private let outputStride: Int
    private let wordStride: Int
    private let wordCount: Int

    fileprivate init(_ codes: PackedCodes) {
      base = codes.tensor.bytes
      layout = codes.layout
      bits = codes.bits
      inputs = codes.inputs
      wordCount = (codes.inputs * codes.bits + 31) / 32
      (outputStride, wordStride) =
        switch codes.layout {
        case .wordsOfInputs: (1, codes.outputs)
        case .wordsOfRows: (wordCount, 1)
        case .interleavedOutputs: (1, codes.outputs / 8)
        case .signedBytes: (codes.inputs, 1)
        }
    }

    /// Codes of inputs 8 · `eighth` and on of output `row`, a byte each, the first in the lowest; those past the last
    /// input are anything.
    @inline(__always)
    func eight(_ row: Int, _ eighth: Int) -> UInt64 {
      switch layout {
      case .wordsOfInputs, .wordsOfRows:
        let bit = 8 * bits * eighth
        let (index, offset) = (bit >> 5, bit & 31)
        var stream = UInt64(word(index &* wordStride &+ row &* outputStride))
        if offset + 8 * bits > 32, index + 1 < wordCount {
          stream |= UInt64(word((index + 1) &* wordStride &+ row &* outputStride)) << 32
        }
        return PackedCodes.spread(stream >> UInt64(offset), bits)
      case .interleavedOutputs:
        let shift = UInt32(4 * AWQOrder.nibble(of: row))
        var result: UInt64 = 0
        for index in 0..<8 {
          let word = word((8 * eighth + index) &* wordStride &+ row >> 3)
          result |= UInt64(word >> shift & 15) << UInt64(8 * index)
        }
        return result
      case .signedBytes:
        let start = row &* outputStride &+ 8 * eighth
        guard 8 * eighth + 8 > inputs else {
          return base.loadUnaligned(fromByteOffset: start, as: UInt64.self).littleEndian ^ 0x8080_8080_8080_8080
        }
        var result: UInt64 = 0
        for index in 0..<inputs - 8 * eighth { result |= UInt64(base[start + index] ^ 0x80) << UInt64(8 * index) }
        return result
      }
    }

    @inline(__always)
    private func word(_ index: Int) -> UInt32 {
      UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 4 &* index, as: UInt32.self))
    }
  }

  /// The lowest eight codes of a stream of bits, a byte each.
  @inline(__always)
  static func spread(_ stream: UInt64, _ bits: Int) -> UInt64 {
    switch bits {
    case 8: return stream
    case 4:
      var x = stream & 0xFFFF_FFFF
      x = (x | x << 16) & 0x0000_FFFF_0000_FFFF
      x = (x | x << 8) & 0x00FF_00FF_00FF_00FF
      return (x | x << 4) & 0x0F0F_0F0F_0F0F_0F0F
    default:
      let mask = UInt64(1) << UInt64(bits) - 1
      var result: UInt64 = 0
      for index in 0..<8 { result |= (stream >> UInt64(bits * index) & mask) << UInt64(8 * index) }
      return result
    }
  }
}

/// The order in which AWQ lays eight outputs into a word: 0, 2, 4, 6, 1, 3, 5, 7.
enum AWQOrder {
  /// The nibble of a word that holds output `row`, counted from the lowest.
  @inline(__always)
  static func nibble(of row: Int) -> Int { (row & 1) << 2 | (row & 7) >> 1 }
}
