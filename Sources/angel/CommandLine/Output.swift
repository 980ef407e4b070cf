import AngelCore
import Glibc
import Synchronization

/// Nobody reads standard output any more (`angel … | head`): the program ends quietly.
struct OutputClosed: Error {}

/// Standard output could not be written, for example because the disk is full.
struct OutputFailed: DescribedError {
  let reason: String
  var description: String { "cannot write standard output: \(reason)" }
}

/// Where results go: one file descriptor, unbuffered, safe to share between threads.
final class Output: Sendable {
  let descriptor: Int32
  private let lock = Mutex<Void>(())

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// Nowhere: for processes beside the one that speaks.
  static let nowhere = Output(descriptor: -1)

  /// Whether a person watches.
  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Writes text as it is. Throws `OutputClosed` or `OutputFailed`.
  func write(_ text: String) throws {
    var text = text
    try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
  }

  /// Writes text and a line end.
  func line(_ text: String = "") throws { try write(text + "\n") }

  /// Writes text where failure does not matter: remarks and progress.
  func attempt(_ text: String) { try? write(text) }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard descriptor >= 0 else { return }
    try lock.withLock { _ in
      var done = 0
      while done < bytes.count, let base = bytes.baseAddress {
        let count = Glibc.write(descriptor, base + done, bytes.count - done)
        if count > 0 { done += count; continue }
        switch errno {
        case EINTR: continue
        case EAGAIN:
          var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          poll(&entry, 1, -1)
        case EPIPE: throw OutputClosed()
        default: throw OutputFailed(reason: String(cString: strerror(errno)))
        }
      }
    }
  }
}
