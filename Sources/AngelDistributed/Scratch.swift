import Synchronization

/// Memory for a group's exchanges, kept from one to the next: fresh memory costs more than what is exchanged in it.
public final class Scratch: Sendable {
  // SAFETY: whoever has taken it out of `kept` is its only user.
  private struct Memory: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
  }

  /// Nil while it is in use.
  private let kept = Mutex<Memory?>(nil)
  /// What is larger goes back at once.
  private static let mostKept = 16 << 20

  init() {}

  deinit { kept.withLock { $0?.bytes.deallocate() } }

  /// Gives `body` memory without defined contents, at a multiple of 64.
  ///
  /// After a failure it is used no more and stays allocated: what is on its way cannot always be called back (`MPIWorld`), and
  /// memory that may still be written to or read from must not become somebody else's. The process is about to end.
  package func withBytes<Result>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(DistributedError) -> Result
  ) throws(DistributedError) -> Result {
    let memory = take(count)
    let result = try body(UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<count]))
    give(memory)
    return result
  }

  private func take(_ count: Int) -> Memory {
    let memory = kept.withLock { kept in
      defer { kept = nil }
      return kept
    }
    if let memory, memory.bytes.count >= count { return memory }
    memory?.bytes.deallocate()
    return Memory(bytes: .allocate(byteCount: max(64, count), alignment: 64))
  }

  private func give(_ memory: Memory) {
    let spare = kept.withLock { kept in
      guard kept == nil, memory.bytes.count <= Self.mostKept else { return memory as Memory? }
      kept = memory
      return nil
    }
    spare?.bytes.deallocate()
  }
}

/// Keeps what holds memory of a failed exchange until the process ends, for the same reason.
package func keep(afterFailure holder: AnyObject) { _ = Unmanaged.passRetained(holder) }
