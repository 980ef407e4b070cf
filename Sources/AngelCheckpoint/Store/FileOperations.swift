import AngelCore
import Glibc

/// The system's reason for the last failed call.
func systemReason(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }

func fileError(_ action: String, _ path: String, _ code: Int32 = errno) -> StoreError {
  .file(action: action, path: path, reason: systemReason(code))
}

/// An open file that is closed with its owner.
struct OpenFile: ~Copyable {
  let descriptor: Int32
  let path: String

  init(reading path: String) throws(StoreError) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    self.path = path
    guard descriptor >= 0 else { throw fileError("read", path) }
  }

  /// Opens for writing; an existing file is kept and continued only with `appending`.
  init(writing path: String, appending: Bool = false) throws(StoreError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (appending ? O_APPEND : O_TRUNC), 0o644)
    self.path = path
    guard descriptor >= 0 else { throw fileError("write", path) }
  }

  /// Opens for writing anywhere in the file, which is kept.
  init(updating path: String) throws(StoreError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
    self.path = path
    guard descriptor >= 0 else { throw fileError("write", path) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  var size: Int {
    get throws(StoreError) {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw fileError("read", path) }
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw .file(action: "read", path: path, reason: "it is not a regular file")
      }
      return Int(status.st_size)
    }
  }

  /// Fills as much of `buffer` as the file has at `offset`; the number of bytes read.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    var done = 0
    while done < buffer.count, let base = buffer.baseAddress {
      let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw fileError("read", path) }
      guard count > 0 else { break }
      done += count
    }
    return done
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
    try Self.write(bytes, to: descriptor, path: path)
  }

  static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws(StoreError) {
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      let count = Glibc.write(descriptor, base + done, bytes.count - done)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw fileError("write", path) }
      done += count
    }
  }

  /// Writes at a place in the file, whatever others write elsewhere.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StoreError) {
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      let count = pwrite(descriptor, base + done, bytes.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw fileError("write", path) }
      done += count
    }
  }

  /// The bytes from `offset` on, at most `count`; callers bound it.
  func bytes(at offset: Int, count: Int) throws(StoreError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let found = try bytes.withUnsafeMutableBytesThrowing { buffer throws(StoreError) in
      try read(at: offset, into: buffer)
    }
    return Array(bytes.prefix(found))
  }

  func synchronize() throws(StoreError) { guard fsync(descriptor) == 0 else { throw fileError("write", path) } }

  func truncate() throws(StoreError) { try setSize(0) }

  /// Cuts the file, or lengthens it by a hole of zeros.
  func setSize(_ size: Int) throws(StoreError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw fileError("write", path) }
  }

  /// Takes the advisory lock of the file for as long as it is open; false when someone else has it.
  func tryLock() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }

  /// Gives the lock back now: a child process that is just being started may hold the file open a little longer.
  func unlock() { _ = flock(descriptor, LOCK_UN) }
}

/// The few things that are done to files and folders by path.
public enum FileOperations {
  /// Makes a folder and those above it.
  public static func makeFolder(_ path: String) throws(StoreError) {
    if FilePath.kind(path) == .folder { return }
    let parent = FilePath.split(path).folder
    if parent != path { try makeFolder(parent) }
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw fileError("create folder", path) }
  }

  /// The names in a folder, sorted, without `.` and `..`.
  static func names(in folder: String) throws(StoreError) -> [String] {
    guard let names = FilePath.entries(of: folder) else { throw fileError("read folder", folder) }
    return names
  }

  /// Removes a file, or a folder with all it holds; symbolic links are removed, not followed.
  public static func remove(_ path: String) throws(StoreError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw fileError("remove", path)
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in try names(in: path) { try remove(path + "/" + name) }
      guard rmdir(path) == 0 else { throw fileError("remove", path) }
    } else {
      guard unlink(path) == 0 || errno == ENOENT else { throw fileError("remove", path) }
    }
  }

  static func rename(_ source: String, to target: String) throws(StoreError) {
    guard Glibc.rename(source, target) == 0 else { throw fileError("move to '\(target)'", source) }
  }

  /// Makes a rename inside `folder` survive a power failure.
  static func synchronizeFolder(_ folder: String) {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    // Some file systems refuse to sync folders; the rename itself has already happened.
    fsync(descriptor)
    close(descriptor)
  }

  /// Throws where the file system of `path` has less than `needed` bytes to spare.
  static func requireSpace(_ needed: Int, at path: String) throws(StoreError) {
    // A margin keeps the machine usable and covers the file system's own bookkeeping.
    let wanted = needed + 16 << 20
    guard let free = FilePath.freeBytes(at: path), free < wanted else { return }
    throw .notEnoughSpace(needed: wanted, free: free, path: path)
  }

  /// The bytes of the disk that a file takes, which holes in it do not; 0 when there is none.
  static func allocatedBytes(_ path: String) -> Int {
    var status = stat()
    return lstat(path, &status) == 0 ? Int(status.st_blocks) * 512 : 0
  }

  /// When a file or a folder was last changed, in seconds since 1970; 0 when there is none.
  static func modificationTime(_ path: String) -> Int {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mtim.tv_sec : 0
  }

  /// The sum of the sizes of all files below `folder`, 0 when it cannot be read.
  static func bytesBelow(_ folder: String) -> Int {
    guard let names = try? names(in: folder) else { return 0 }
    var total = 0
    for name in names {
      var status = stat()
      let path = folder + "/" + name
      guard lstat(path, &status) == 0 else { continue }
      total += status.st_mode & S_IFMT == S_IFDIR ? bytesBelow(path) : Int(status.st_size)
    }
    return total
  }

  /// A whole small file; refused above `limit` bytes.
  static func contents(of path: String, limit: Int) throws(StoreError) -> [UInt8] {
    let file = try OpenFile(reading: path)
    let size = try file.size
    guard size <= limit else {
      throw .file(action: "read", path: path, reason: "\(size) bytes are more than the \(limit) expected at most")
    }
    return try file.bytes(at: 0, count: size)
  }

  /// Writes a small file and makes it durable.
  static func write(_ text: String, to path: String) throws(StoreError) {
    let file = try OpenFile(writing: path)
    try Array(text.utf8).withUnsafeBytesThrowing { bytes throws(StoreError) in try file.write(bytes) }
    try file.synchronize()
  }

  static func sleep(seconds: Double) { usleep(UInt32(max(0, min(seconds, 60)) * 1e6)) }

  /// `path` from the root, with its links resolved where it exists.
  static func absolute(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}

// The standard library's own ways to a buffer do not pass typed errors on.
extension [UInt8] {
  func withUnsafeBytesThrowing<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBytes { bytes in
      Swift.Result<Result, Failure> { () throws(Failure) in try body(bytes) }
    }.get()
  }

  mutating func withUnsafeMutableBytesThrowing<Result, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeMutableBytes { bytes in
      Swift.Result<Result, Failure> { () throws(Failure) in try body(bytes) }
    }.get()
  }
}
