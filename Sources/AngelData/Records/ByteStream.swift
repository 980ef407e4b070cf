import AngelCore
import Glibc

/// The bytes of a file from its beginning on: as they lie, or unpacked as they come.
final class ByteStream {
  let path: String
  /// The path without the ending of a packing: `rows.jsonl` of `rows.jsonl.gz`.
  let name: String
  /// Bytes of the file, and of those read so far; packed ones where it is packed.
  let byteCount: Int
  private(set) var bytesRead = 0

  private let descriptor: Int32
  private let unpacker: (any Unpacker)?
  private let packed: UnsafeMutableRawBufferPointer
  private var waiting = 0..<0
  private var isFileRead = false

  private static let piece = 1 << 18

  init(path: String) throws(DataError) {
    self.path = path
    // Without O_NONBLOCK a named pipe would hold the caller until somebody writes to it.
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .file(.lastSystemError("open", path)) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw .file(.system(operation: "read", path: path, reason: "it is not a regular file"))
    }
    byteCount = Int(status.st_size)
    let format = PackedFormat.of(path)
    name = format?.name ?? path
    do { unpacker = try format?.format.makeUnpacker() } catch {
      close(descriptor)
      throw .unusable(path: path, reason: "\(error)")
    }
    packed = .allocate(byteCount: unpacker == nil ? 0 : Self.piece, alignment: 64)
  }

  deinit {
    close(descriptor)
    packed.deallocate()
  }

  /// Fills a part of `output`, which is not empty; 0 at the end.
  func read(into output: UnsafeMutableRawBufferPointer) throws(DataError) -> Int {
    guard let unpacker else { return try readFile(into: output) }
    while true {
      if waiting.isEmpty, !isFileRead { waiting = try 0..<readFile(into: packed) }
      let step: (taken: Int, made: Int)
      do throws(PackedError) {
        step = try unpacker.unpack(UnsafeRawBufferPointer(rebasing: packed[waiting]), into: output)
      } catch { throw .unusable(path: path, reason: "it cannot be unpacked: \(error)") }
      waiting = (waiting.lowerBound + step.taken)..<waiting.upperBound
      if step.made > 0 { return step.made }
      guard step.taken == 0 else { continue }
      if isFileRead, waiting.isEmpty, unpacker.isComplete { return 0 }
      guard !isFileRead, waiting.isEmpty else {
        throw .unusable(path: path, reason: "it cannot be unpacked: it ends too early")
      }
    }
  }

  private func readFile(into output: UnsafeMutableRawBufferPointer) throws(DataError) -> Int {
    while true {
      let count = Glibc.read(descriptor, output.baseAddress, output.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .file(.lastSystemError("read", path)) }
      bytesRead += count
      if count == 0 { isFileRead = true }
      return count
    }
  }
}
