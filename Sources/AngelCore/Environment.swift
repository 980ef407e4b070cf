import Glibc

/// The environment variables Angel knows, read once at start: no other file reads the environment.
public struct Environment: Sendable {
  private let variables: [String: String]

  /// An environment with the given variables, for tests.
  public init(_ variables: [String: String]) { self.variables = variables }

  /// The process's own environment.
  public static func current() -> Environment {
    var variables: [String: String] = [:]
    var entry = environ
    while let pointer = entry.pointee {
      let text = String(cString: pointer)
      if let equals = text.firstIndex(of: "="), equals > text.startIndex {
        variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      entry += 1
    }
    return Environment(variables)
  }

  /// Where models are kept: `$ANGEL_HOME`, else `$XDG_DATA_HOME/angel`, else `~/.local/share/angel`; nil without any.
  public var modelStoreRoot: String? {
    if let angelHome = nonEmpty("ANGEL_HOME") { return angelHome }
    // The XDG base directory specification says that relative paths are to be ignored.
    if let dataHome = nonEmpty("XDG_DATA_HOME"), dataHome.hasPrefix("/") { return dataHome + "/angel" }
    return homeDirectory.map { $0 + "/.local/share/angel" }
  }

  /// The user's home folder, from `$HOME` or the password database.
  public var homeDirectory: String? {
    if let home = nonEmpty("HOME") { return home }
    guard let entry = getpwuid(getuid()), let folder = entry.pointee.pw_dir else { return nil }
    return String(cString: folder)
  }

  /// The folders in which programs are looked up.
  public var programFolders: [String] {
    (nonEmpty("PATH") ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map(String.init)
  }

  /// Whether the terminal can move its cursor back, as progress bars need.
  public var terminalIsCapable: Bool { nonEmpty("TERM").map { $0 != "dumb" } ?? false }

  /// The instruction set asked for, which the kernels read themselves: `$ANGEL_ISA`.
  public var instructionSet: String? { nonEmpty("ANGEL_ISA") }

  /// Whether `./test --all` runs, which asks for the long versions of tests.
  public var runsAllTests: Bool { variables["ANGEL_TEST_ALL"] == "1" }

  /// The SmolLM2-135M-Instruct Q4_1 file that tests measure against, where it is not in the store (`$ANGEL_SMOLLM2`).
  public var smolLM2Path: String? { nonEmpty("ANGEL_SMOLLM2") }

  /// The Gemma 3 270M Q4_K_M file, likewise (`$ANGEL_GEMMA3`).
  public var gemma3Path: String? { nonEmpty("ANGEL_GEMMA3") }

  /// The address of the model hub or a mirror of it: `$HF_ENDPOINT`, nil for the public one.
  public var hubEndpoint: String? { nonEmpty("HF_ENDPOINT") }

  /// The user's token for the hub: `$HF_TOKEN`, or the variable's older name.
  public var hubToken: String? { nonEmpty("HF_TOKEN") ?? nonEmpty("HUGGING_FACE_HUB_TOKEN") }

  /// The file that may hold the token: `$HF_TOKEN_PATH`, else `token` in `$HF_HOME`, which is `huggingface` in
  /// `$XDG_CACHE_HOME`, else in `~/.cache`; nil without any.
  public var hubTokenPath: String? {
    if let path = nonEmpty("HF_TOKEN_PATH") { return path }
    if let home = nonEmpty("HF_HOME") { return home + "/token" }
    if let cache = nonEmpty("XDG_CACHE_HOME") { return cache + "/huggingface/token" }
    return homeDirectory.map { $0 + "/.cache/huggingface/token" }
  }

  /// Whether the hub must not be asked: `$HF_HUB_OFFLINE`, else `$TRANSFORMERS_OFFLINE`, is 1, on, yes or true.
  public var hubIsOffline: Bool {
    let value = nonEmpty("HF_HUB_OFFLINE") ?? nonEmpty("TRANSFORMERS_OFFLINE") ?? ""
    return ["1", "ON", "YES", "TRUE"].contains(value.uppercased())
  }

  /// This process's place among those launched together and how many they are, as `mpirun` of Open MPI or MPICH, Slurm's `srun`
  /// or plain `ANGEL_RANK` and `ANGEL_WORLD` say; nil for a process by itself.
  public var launchPlace: (rank: Int, size: Int)? {
    let names = [
      ("ANGEL_RANK", "ANGEL_WORLD"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"),
      // With srun --mpi=pmix; a batch script has Slurm's variables too, but no PMIX_RANK.
      ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),
    ]
    for (rank, size) in names {
      if let rank = nonEmpty(rank).flatMap({ Int($0) }), let size = nonEmpty(size).flatMap({ Int($0) }), rank >= 0,
        rank < size
      {
        return (rank, size)
      }
    }
    return nil
  }

  /// Where things are kept that can be made again: `angel` in `$XDG_CACHE_HOME`, else in `~/.cache`; nil without any.
  public var cacheFolder: String? {
    if let cache = nonEmpty("XDG_CACHE_HOME"), cache.hasPrefix("/") { return cache + "/angel" }
    return homeDirectory.map { $0 + "/.cache/angel" }
  }

  /// `NAME=value` lines for a child process: these variables with `additions` over them.
  public func childEntries(adding additions: [String: String]) -> [String] {
    variables.merging(additions) { $1 }.map { "\($0)=\($1)" }.sorted()
  }

  private func nonEmpty(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
}
