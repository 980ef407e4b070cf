import Glibc
import Synchronization

/// A pipe that takes one write and holds the writer at the next until this one has been read: where a program stands is then
/// no matter of time.
final class HeldOutput: Sendable {
  /// Where the program writes.
  let descriptor: Int32
  private let source: Int32
  private let gathered = Mutex("")

  /// What has been read.
  var text: String { gathered.withLock { $0 } }

  init() {
    var ends: [Int32] = [-1, -1]
    precondition(pipe(&ends) == 0, "no pipe")
    (source, descriptor) = (ends[0], ends[1])
    // Each write is a packet with a page of its own, and the pipe has one (pipe(7), O_DIRECT and F_SETPIPE_SZ).
    #if arch(arm64)
      let packets: Int32 = 0o200000
    #else
      let packets: Int32 = 0o40000
    #endif
    precondition(fcntl(descriptor, F_SETFL, packets) == 0 && fcntl(descriptor, 1031, 4096) >= 0, "no pipe of packets")
  }

  deinit { close(source) }

  /// Reads until `isEnough` says so of all that has been read, or to the end.
  func read(until isEnough: (String) -> Bool = { _ in false }) {
    var packet = [UInt8](repeating: 0, count: 1 << 16)
    while !isEnough(text) {
      let count = Glibc.read(source, &packet, packet.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      gathered.withLock { $0 += String(decoding: packet[..<count], as: UTF8.self) }
    }
  }

  /// Ends what a program writes.
  func end() { close(descriptor) }
}
