import AngelCPU
import AngelCore
import AngelMemory
import AngelTensor

/// A buffer larger than any cache, of which kernels read one piece after another, so that every piece comes from memory.
final class BenchMemory {
  let backend: CPUBackend
  let allocation: Allocation
  private var cursor = 0

  /// `byteCount` bytes that are harmless numbers in every dtype and every block format. Throws when there is no room.
  init(byteCount: Int = 1 << 30, on backend: CPUBackend) throws {
    self.backend = backend
    allocation = backend.allocate(byteCount: byteCount, kind: .workspace)
    do { try backend.synchronize() } catch {
      backend.release(allocation)
      throw error
    }
    fill()
  }

  deinit { backend.release(allocation) }

  var byteCount: Int { allocation.byteCount }

  /// The next `count` bytes, 64-byte aligned; after the end the first again.
  func next(_ count: Int) -> UnsafeMutableRawPointer {
    precondition(count <= byteCount, "\(count) bytes of a buffer of \(byteCount)")
    if cursor + count > byteCount { cursor = 0 }
    defer { cursor += (count + 63) / 64 * 64 }
    return allocation.address + cursor
  }

  /// Bytes 0x38...0x3B: float16 from 0.5 to 1, bfloat16 and float32 of about 1e-4, block scales alike, no subnormals.
  private func fill() {
    let generator = PhiloxGenerator(seed: 0)
    let tile = min(byteCount, 1 << 20) / 16 * 16
    for block in 0..<(tile / 16) {
      let words = (generator.block(at: UInt64(block)) & 0x0303_0303) | 0x3838_3838
      allocation.address.storeBytes(of: words, toByteOffset: 16 * block, as: SIMD4<UInt32>.self)
    }
    var filled = tile
    while filled < byteCount {
      let count = min(filled, byteCount - filled)
      (allocation.address + filled).copyMemory(from: allocation.address, byteCount: count)
      filled += count
    }
  }
}
