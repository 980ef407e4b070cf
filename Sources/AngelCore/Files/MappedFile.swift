import Glibc

/// A file mapped into memory, read-only, for as long as this object lives.
///
/// Pages are read when first touched and can be dropped again. The size is the one found when the file was opened: every
/// range is checked against it. A file that another program shortens afterwards kills the process on access, as with any
/// mapping, so model files must be replaced by renaming, never rewritten in place (`AtomicFile` does).
public final class MappedFile: Sendable {
  /// The path the file was opened by.
  public let path: String
  /// The file's size in bytes when it was opened.
  public let byteCount: Int
  // SAFETY: the mapping is read-only and fixed from init to deinit.
  private nonisolated(unsafe) let base: UnsafeRawPointer?

  /// Maps the regular file at `path`.
  public init(path: String) throws(FileError) {
    // Without O_NONBLOCK a named pipe would hold the caller until somebody writes to it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .lastSystemError("open", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .lastSystemError("examine", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .system(operation: "read", path: path, reason: "it is not a regular file")
    }
    let size = Int(status.st_size)
    self.path = path
    byteCount = size
    guard size > 0 else {
      base = nil
      return
    }
    let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, Int(bitPattern: address) != -1 else { throw .lastSystemError("map", path) }
    base = UnsafeRawPointer(address)
  }

  deinit {
    if let base { munmap(UnsafeMutableRawPointer(mutating: base), byteCount) }
  }

  /// The whole file; valid while this object lives.
  public var unsafeBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }

  /// The bytes of `range`, valid while this object lives; throws when the range is not inside the file.
  public func unsafeBytes(in range: Range<Int>) throws(FileError) -> UnsafeRawBufferPointer {
    guard range.lowerBound >= 0, range.upperBound <= byteCount else {
      throw .system(
        operation: "read", path: path,
        reason: "bytes \(range.lowerBound)..<\(range.upperBound) are outside its \(byteCount) bytes")
    }
    return UnsafeRawBufferPointer(rebasing: unsafeBytes[range])
  }

  /// Calls `body` with the bytes of `range`; throws when the range is not inside the file.
  public func withBytes<Result>(
    _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let bytes = try unsafeBytes(in: range)
    return try withExtendedLifetime(self) { try body(bytes) }
  }

  /// Asks the system to read `range` ahead of use.
  public func prefetch(_ range: Range<Int>) { advise(range, MADV_WILLNEED, growing: true) }

  /// Gives the memory of `range` back; bytes touched again are read from the file again.
  public func release(_ range: Range<Int>) { advise(range, MADV_DONTNEED, growing: false) }

  /// Advice is given by whole pages: all that `range` touches when `growing`, else those it covers.
  private func advise(_ range: Range<Int>, _ advice: Int32, growing: Bool) {
    let page = sysconf(Int32(_SC_PAGESIZE))
    let range = range.clamped(to: 0..<byteCount)
    let down = { (offset: Int) in offset / page * page }
    let up = { (offset: Int) in offset == self.byteCount ? offset : down(offset + page - 1) }
    let start = growing ? down(range.lowerBound) : up(range.lowerBound)
    let end = growing ? up(range.upperBound) : (range.upperBound == byteCount ? byteCount : down(range.upperBound))
    guard let base, start < end else { return }
    // Advice only: a refusal changes speed, never a result.
    _ = madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, advice)
  }
}
