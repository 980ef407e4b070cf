/// A cache of few bits by the words of paged_attention.h, one number at a time.
import CAngelKernels

/// How one token's keys or values of one kv head are kept in q8_0 or q4_0.
struct BundledHead {
  let isFourBits: Bool

  /// Nil for caches of plain numbers.
  init?(_ cache: angel_dtype) {
    guard cache == ANGEL_Q8_0 || cache == ANGEL_Q4_0 else { return nil }
    isFourBits = cache == ANGEL_Q4_0
  }

  private var bundleBytes: Int { isFourBits ? 288 : 544 }

  /// Bytes of a head's keys, or values, in a block of 16 tokens.
  func byteCount(_ headSize: Int) -> Int { (headSize + 31) / 32 * bundleBytes }

  /// The rotation of 4-bit caches.
  private func rotated(_ head: [Float]) -> [Float] {
    var result = head
    let size = min(head.count & -head.count, 32)
    var step = 1
    while step < size {
      for i in head.indices where i & step == 0 {
        (result[i], result[i + step]) = (result[i] + result[i + step], result[i] - result[i + step])
      }
      step *= 2
    }
    var factor: Float = 1
    while step > 1 {
      factor *= step == 2 ? Float(0.5).squareRoot() : 0.5
      step /= 4
    }
    return result.map { $0 * factor }
  }

  /// A scale, as the bits of a float16, and the quants of at most 32 numbers.
  private func rounded(_ numbers: ArraySlice<Float>) -> (scale: UInt16, quants: [Int]) {
    let high = numbers.max() ?? 0
    let low = numbers.min() ?? 0
    let extreme = high > -low ? high : low
    let scale = Float16(isFourBits ? extreme / -8 + 0 : abs(extreme) / 127)
    guard numbers.allSatisfy(\.isFinite), scale.isFinite else { return (0x7e00, numbers.map { _ in 0 }) }
    let inverse = scale == 0 ? 0 : 1 / Float(scale)
    let limits = isFourBits ? -8...7 : -127...127
    return (
      scale.bitPattern,
      numbers.map { min(max(Int(($0 * inverse).rounded(.toNearestOrEven)), limits.lowerBound), limits.upperBound) }
    )
  }

  private func bundles(_ head: [Float]) -> [(scale: UInt16, quants: [Int])] {
    let numbers = isFourBits ? rotated(head) : head
    return stride(from: 0, to: head.count, by: 32).map { rounded(numbers[$0..<min($0 + 32, head.count)]) }
  }

  /// Writes a token's head at slot `slot` of a block's keys or values.
  func write(_ head: [Float], slot: Int, isValues: Bool, into block: inout ArraySlice<UInt8>) {
    for (index, bundle) in bundles(head).enumerated() {
      let scales = block.startIndex + index * bundleBytes
      block[scales + 2 * slot] = UInt8(truncatingIfNeeded: bundle.scale)
      block[scales + 2 * slot + 1] = UInt8(truncatingIfNeeded: bundle.scale >> 8)
      let quants = bundle.quants + [Int](repeating: 0, count: 32 - bundle.quants.count)
      for i in 0..<(isFourBits ? 16 : bundle.quants.count) {
        let place = isValues ? slot * (isFourBits ? 16 : 32) + i : i * 16 + slot
        let (low, high) = isValues ? (quants[i], quants[(i + 16) % 32]) : (quants[2 * i % 32], quants[(2 * i + 1) % 32])
        block[scales + 32 + place] = UInt8(truncatingIfNeeded: isFourBits ? low & 15 | high << 4 : quants[i])
      }
    }
  }

  /// What a head is after it has been kept.
  func remembered(_ head: [Float]) -> [Float] {
    let numbers = bundles(head).flatMap { bundle in
      bundle.quants.map { Float($0) * Float(Float16(bitPattern: bundle.scale)) }
    }
    return isFourBits ? rotated(numbers) : numbers
  }
}
