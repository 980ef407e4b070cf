import AngelCore
import CAngelShims
import Glibc

/// The plug-in for the MPI that is installed: compiled on first use with `mpicc`, kept by source and compiler, opened at run
/// time, so that the program starts where there is no MPI.
enum MPIPlugin {
  private static let remedy =
    "install Open MPI (apt-get install libopenmpi-dev openmpi-bin) or MPICH (libmpich-dev mpich), the one that mpirun is of"

  /// Opens the plug-in, after compiling it where it has not been.
  static func open(_ environment: Environment, _ interruption: Interruption) throws {
    let path = try compiled(environment, interruption)
    if let reason = angel_mpi_open(path) {
      throw DistributedError.unavailable(
        "the MPI plug-in '\(path)' cannot be opened: \(String(cString: reason)); \(remedy)")
    }
  }

  private static func compiled(_ environment: Environment, _ interruption: Interruption) throws -> String {
    guard let compiler = ChildProcess.find("mpicc", in: environment) else {
      throw DistributedError.unavailable("several processes need MPI, and no mpicc is found in PATH: \(remedy)")
    }
    let variables = environment.childEntries(adding: [:])
    func run(_ arguments: [String]) throws -> String {
      let outcome = try ChildProcess.run(
        [compiler] + arguments, environment: variables, interruption: interruption, whileRunning: {})
      guard outcome.status == 0 else {
        let reason = outcome.output.split(separator: "\n").first { $0.contains("error") } ?? "no reason given"
        throw DistributedError.unavailable("\(compiler) cannot compile the MPI plug-in (\(reason)); \(remedy)")
      }
      return outcome.output
    }
    guard let folder = environment.cacheFolder else {
      throw DistributedError.unavailable("there is no home for the MPI plug-in: set HOME or XDG_CACHE_HOME")
    }
    let source = PackageResources.mpi_plugin_c
    let key = String(FNV1a.hash(source + (compiler + (try run(["-show"]))).utf8), radix: 16)
    let path = FilePath.join(folder, "mpi-\(key).so")
    if FilePath.kind(path) != nil { return path }
    try makeFolder(folder)
    // Every process of the job may be here at once: each compiles its own and the last rename wins.
    let own = FilePath.join(folder, "mpi-\(key)-\(getpid())")
    defer { for ending in [".c", ".so"] { unlink(own + ending) } }
    let file = try AtomicFile(path: own + ".c")
    try file.write(source)
    try file.commit()
    _ = try run(["-O2", "-shared", "-fPIC", own + ".c", "-o", own + ".so"])
    guard rename(own + ".so", path) == 0 else { throw FileError.lastSystemError("write", path) }
    return path
  }

  private static func makeFolder(_ path: String) throws {
    for part in [FilePath.split(path).folder, path] where FilePath.kind(part) == nil {
      guard mkdir(part, 0o777) == 0 || errno == EEXIST else { throw FileError.lastSystemError("make", part) }
    }
  }
}
