import AngelCore
import AngelTesting
import Glibc
import Testing

/// The built program in a process of its own, for what no test could do to its own process.
struct BuiltProgram {
  let folder: TemporaryFolder

  /// The program beside the test's own binary.
  static let path: String = {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let own = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return FilePath.join(FilePath.split(own).folder, "angel")
  }()

  /// Starts `angel WORDS` in a shell that first runs `preparation`; outputs go to the folder.
  func start(_ words: String, after preparation: String = "") throws -> pid_t {
    let script =
      "\(preparation) exec '\(Self.path)' \(words) >'\(folder("output"))' 2>'\(folder("errors"))'"
    let words: [String] = ["/bin/sh", "-c", script]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    // What runs the tests in the background ignores SIGINT, and its children would too.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
    var process: pid_t = 0
    #expect(posix_spawn(&process, "/bin/sh", nil, &attributes, arguments, environ) == 0)
    return process
  }

  /// How a process ended: its exit code, or 128 and its signal.
  func wait(_ process: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
  }

  /// What the last process wrote, for messages.
  func text(_ name: String) -> String {
    String(decoding: (try? TemporaryFolder.read(folder(name))) ?? [], as: UTF8.self)
  }
}
