import AngelCore
import Glibc

/// Standard input, read so that Ctrl-C is noticed within a tenth of a second: a blocked read would not see it.
final class Input {
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var hasEnded = false

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// Whether a person types.
  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Everything up to the end of input. Throws `Interrupted`, or `InputFailed`.
  func readAll(interruption: Interruption) throws -> [UInt8] {
    while try fill(interruption) {}
    defer { buffer = [] }
    return buffer
  }

  /// The next line without its end, nil at the end of input. Throws `Interrupted`, which drops what was typed.
  func nextLine(interruption: Interruption) throws -> String? {
    var searched = 0
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { buffer.removeFirst(end + 1) }
        return text(buffer[..<end])
      }
      searched = buffer.count
      do {
        guard try fill(interruption) else { break }
      } catch {
        buffer = []
        throw error
      }
    }
    guard !buffer.isEmpty else { return nil }
    defer { buffer = [] }
    return text(buffer[...])
  }

  private func text(_ line: ArraySlice<UInt8>) -> String {
    String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
  }

  /// Reads what there is, waiting for something; false at the end of input.
  private func fill(_ interruption: Interruption) throws -> Bool {
    guard !hasEnded else { return false }
    while true {
      try interruption.check()
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&entry, 1, 100)
      guard ready != 0, !(ready < 0 && errno == EINTR) else { continue }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
      guard count >= 0 else { throw InputFailed(reason: String(cString: strerror(errno))) }
      buffer += chunk[..<count]
      // A terminal gives more after Ctrl-D, but whoever typed it meant the end.
      hasEnded = count == 0
      return count > 0
    }
  }
}

/// Standard input could not be read, for example because it is a folder.
struct InputFailed: DescribedError {
  let reason: String
  var description: String { "cannot read standard input: \(reason)" }
}
