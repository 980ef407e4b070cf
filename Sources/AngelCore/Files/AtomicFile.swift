import Glibc
import Synchronization

/// A file that appears under its name whole or not at all.
///
/// Bytes go to a hidden file in the same folder; `commit` syncs it and renames it. A failure, or letting go of the object
/// without `commit`, removes it and leaves what stood under the name as it was.
public final class AtomicFile {
  /// The name the file gets.
  public let path: String
  /// Bytes written so far.
  public private(set) var byteCount = 0
  private let temporaryPath: String
  private var descriptor: Int32
  private let expectedBytes: Int

  private static let serial = Atomic<Int>(0)

  /// Starts a file that is to become `path`; `expectedBytes`, where known, are checked against the free space first.
  public init(path: String, expectedBytes: Int = 0) throws(FileError) {
    self.path = path
    self.expectedBytes = expectedBytes
    let (folder, name) = FilePath.split(path)
    // Unique in this process by the number, among processes by the id; a file left by a killed one is written over.
    let number = Self.serial.add(1, ordering: .relaxed).newValue
    temporaryPath = FilePath.join(folder, ".\(name).\(getpid())-\(number).partial")
    let free = FilePath.freeBytes(at: folder)
    if let free, free < expectedBytes {
      descriptor = -1
      throw .diskFull(path: path, wanted: expectedBytes, free: free)
    }
    descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard descriptor >= 0 else { throw .lastSystemError("create", path) }
  }

  deinit { discard() }

  /// Appends `bytes`; after an error the file is gone and every further call throws.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    try requireOpen()
    var rest = bytes
    while let start = rest.baseAddress, !rest.isEmpty {
      let written = Glibc.write(descriptor, start, rest.count)
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw failure("write", wanted: rest.count) }
      byteCount += written
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
    }
  }

  /// Appends `bytes`.
  public func write(_ bytes: some Sequence<UInt8>) throws(FileError) {
    let failure: FileError? = ContiguousArray(bytes).withUnsafeBytes { buffer in
      do throws(FileError) {
        try write(buffer)
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }

  /// Syncs the bytes to the disk and gives the file its name, replacing what stood there.
  public func commit() throws(FileError) {
    try requireOpen()
    guard fsync(descriptor) == 0 else { throw failure("sync", wanted: byteCount) }
    // Some network file systems report a full disk only here.
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, rename(temporaryPath, path) == 0 else {
      let error = failure("finish", wanted: byteCount)
      unlink(temporaryPath)
      throw error
    }
    try syncFolder()
  }

  /// The new name is safe only when the folder is on the disk too.
  private func syncFolder() throws(FileError) {
    let folder = FilePath.split(path).folder
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .lastSystemError("open", folder) }
    defer { close(descriptor) }
    // EINVAL: a file system that does not sync folders.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw .lastSystemError("sync", folder) }
  }

  private func requireOpen() throws(FileError) {
    guard descriptor >= 0 else {
      throw .system(operation: "write", path: path, reason: "it is finished, or an earlier write failed")
    }
  }

  /// The error of the last call; removes the unfinished file.
  private func failure(_ operation: String, wanted: Int) -> FileError {
    let code = errno
    let free = FilePath.freeBytes(at: path) ?? 0
    discard()
    if code == ENOSPC || code == EDQUOT || code == EFBIG {
      return .diskFull(path: path, wanted: max(expectedBytes - byteCount, wanted), free: free)
    }
    return .system(operation: operation, path: path, reason: String(cString: strerror(code)))
  }

  private func discard() {
    guard descriptor >= 0 else { return }
    close(descriptor)
    descriptor = -1
    unlink(temporaryPath)
  }
}
