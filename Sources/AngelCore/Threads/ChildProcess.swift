import Glibc

/// Runs another program and gathers what it says; never through a shell.
public struct ChildProcess {
  /// How a program ended and what it said.
  public struct Outcome {
    /// The exit status; 128 plus the signal's number when one ended it.
    public let status: Int32
    /// The end of standard output and standard error together, at most 64 KiB.
    public let output: String
  }

  /// The path of a program in the folders of PATH.
  public static func find(_ program: String, in environment: Environment) -> String? {
    environment.programFolders.lazy.map { $0 + "/" + program }.first {
      access($0, X_OK) == 0 && FilePath.status($0)?.kind == .file
    }
  }

  /// Runs `arguments[0]` and calls `whileRunning` several times a second; an interruption ends the child.
  public static func run(
    _ arguments: [String], environment: [String], interruption: Interruption, whileRunning: () -> Void
  ) throws -> Outcome {
    var pipeEnds: [Int32] = [-1, -1]
    guard pipe(&pipeEnds) == 0 else { throw FileError.lastSystemError("start", arguments[0]) }
    let readEnd = pipeEnds[0]
    for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(readEnd, F_SETFL, O_NONBLOCK)
    defer { close(readEnd) }
    let (process, code) = spawn(arguments, environment: environment, output: pipeEnds[1])
    close(pipeEnds[1])
    guard code == 0 else {
      throw FileError.system(operation: "start", path: arguments[0], reason: String(cString: strerror(code)))
    }
    var output: [UInt8] = []
    var isOpen = true
    var status: Int32 = 0
    var interrupted = false
    while true {
      if isOpen { isOpen = drain(readEnd, into: &output) }
      let ended = waitpid(process, &status, WNOHANG)
      if ended == process || (ended < 0 && errno != EINTR) { break }
      if interruption.isRequested, !interrupted {
        interrupted = true
        // The child leads its own process group, so that its own children end too.
        kill(-process, SIGTERM)
      }
      whileRunning()
      waitForOutput(isOpen ? readEnd : -1)
    }
    if isOpen { _ = drain(readEnd, into: &output) }
    try interruption.check()
    let exited = status & 0x7F == 0
    return Outcome(
      status: exited ? (status >> 8) & 0xFF : 128 + (status & 0x7F), output: String(decoding: output, as: UTF8.self))
  }

  private static func waitForOutput(_ descriptor: Int32) {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    poll(&entry, 1, 100)
  }

  private static func spawn(_ arguments: [String], environment: [String], output: Int32) -> (pid_t, Int32) {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, output, 2)
    // The parent blocks or ignores signals that the child must obey.
    var noSignals = sigset_t()
    sigemptyset(&noSignals)
    posix_spawnattr_setsigmask(&attributes, &noSignals)
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for signal in [SIGINT, SIGTERM, SIGPIPE, SIGHUP] { sigaddset(&defaults, signal) }
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var argumentPointers = arguments.map { strdup($0) } + [nil]
    var environmentPointers = environment.map { strdup($0) } + [nil]
    defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, arguments[0], &actions, &attributes, &argumentPointers, &environmentPointers)
    return (process, code)
  }

  /// Appends what can be read now; false at the end.
  private static func drain(_ descriptor: Int32, into output: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      guard count > 0 else { return false }
      output.append(contentsOf: buffer[..<count])
      if output.count > 128 << 10 { output.removeFirst(output.count - 64 << 10) }
    }
  }
}
