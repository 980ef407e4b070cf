/// Memory for one exchange with others.
///
/// After a failure it stays: what is on its way cannot always be called back (`MPIWorld`), and memory that it may still be
/// written to or read from must not become somebody else's. The process is about to end.
package func withScratch<Result>(
  byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws(DistributedError) -> Result
) throws(DistributedError) -> Result {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, byteCount), alignment: 64)
  let result = try body(UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
  memory.deallocate()
  return result
}

/// Keeps what holds memory of a failed exchange until the process ends, for the same reason.
package func keep(afterFailure holder: AnyObject) { _ = Unmanaged.passRetained(holder) }
