import Glibc

/// The fuzzed bytes as a file, which is rewritten in memory for each input.
enum FuzzedFile {
  private static let descriptor = {
    let path = "/dev/shm/angel-fuzz-\(getpid())"
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
    unlink(path)
    return descriptor
  }()

  /// Its path; nil where the system has none.
  static func write(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> String? {
    guard descriptor >= 0, ftruncate(descriptor, 0) == 0 else { return nil }
    guard count == 0 || pwrite(descriptor, bytes, count, 0) == count else { return nil }
    return "/proc/self/fd/\(descriptor)"
  }
}
