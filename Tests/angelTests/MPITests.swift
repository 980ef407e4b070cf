import AngelCore
import AngelPTM
import AngelTesting
import Glibc
import Testing

/// What starts several processes, where it is installed.
enum MPILauncher {
  static let path = ChildProcess.find("mpirun", in: .current())
}

/// The built program under `mpirun`: several processes learn what one learns, and end together when one is lost.
@Suite(
  "mpirun", .enabled(if: MPILauncher.path != nil, "no mpirun in PATH (apt-get install openmpi-bin libopenmpi-dev)"),
  .serialized)
struct MPITests {
  let folder: TemporaryFolder
  let files: TrainingFiles

  init() throws {
    folder = try TemporaryFolder()
    files = try TrainingFiles(folder)
  }

  /// Runs `angel train`, under mpirun when `processes` are several.
  private func train(
    _ changes: [String], processes: Int, grace: Int = 1, whileRunning: () -> Void = {}
  ) throws -> ChildProcess.Outcome {
    try launch(["train", files.recipe] + changes, processes: processes, grace: grace, whileRunning: whileRunning)
  }

  /// Runs the program, under mpirun when `processes` are several.
  private func launch(
    _ arguments: [String], processes: Int, grace: Int = 1, whileRunning: () -> Void = {}
  ) throws -> ChildProcess.Outcome {
    let program = [BuiltProgram.path] + arguments + ["--threads", "1"]
    let launcher = [try #require(MPILauncher.path), "-n", "\(processes)"]
    let environment = Environment.current().childEntries(adding: [
      "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
      // Seconds that Open MPI waits before it asks processes to end, and again before it ends them.
      "OMPI_MCA_odls_base_sigkill_timeout": "\(grace)",
      // More processes than cores: of Open MPI 4 and 5.
      "OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    ])
    return try ChildProcess.run(
      processes > 1 ? launcher + program : program, environment: environment, interruption: Interruption(),
      whileRunning: whileRunning)
  }

  private func compare(processes: Int, _ layouts: [[String]]) throws {
    let changes = ["training.steps=6", "training.accumulation=\(processes)", "batch_size=2"]
    let one = try train(changes + ["output.folder=\(folder("one"))"], processes: 1)
    #expect(one.status == 0, "\(one.output)")
    for (number, layout) in layouts.enumerated() {
      let run = "many\(number)"
      let many = try train(
        changes + layout + ["mesh.data=\(processes)", "output.folder=\(folder(run))"], processes: processes)
      #expect(many.status == 0, "\(many.output)")
      #expect(try files.losses(run) == files.losses("one"), "\(layout)")
      #expect(try files.weights(run) == files.weights("one"), "\(layout)")
    }
  }

  @Test("a model with its layers on two processes answers as on one, and one of them prints")
  func generate() throws {
    let model = Goldens.path("models/llama-tiny")
    let arguments = [
      "generate", model, "be", "--max-tokens", "12", "--precision", "f32", "--speculate", "off", "--ignore-end",
      "--json",
    ]
    func answer(_ processes: Int, _ more: [String] = []) throws -> JSONValue {
      let outcome = try launch(arguments + more, processes: processes)
      #expect(outcome.status == 0, "\(outcome.output)")
      let lines = outcome.output.split(separator: "\n").filter { $0.contains("\"finish_reason\"") }
      #expect(lines.count == 1, "\(outcome.output)")
      return try JSONValue(parsing: Array((lines.first ?? "null").utf8))
    }
    let one = try answer(1)
    #expect(try answer(2)["tokens"] == one["tokens"] && one["tokens"]?.array?.count == 12)
    // What one process draws, both draw.
    let drawn = try answer(2, ["--temperature", "1"])
    #expect(drawn["finish_reason"] == "length" && drawn["seed"]?.integer != nil)
    let three = try launch(arguments, processes: 3)
    #expect(three.status != 0 && three.output.contains("3 does not divide the model's"), "\(three.output)")
  }

  @Test("two processes give the bits of one, and one of them prints")
  func two() throws {
    try compare(processes: 2, (0...3).map { ["mesh.zero=\($0)"] })
    let plan = try train(["mesh.data=2", "training.steps=1", "output.folder=\(folder("said"))"], processes: 2)
    #expect(plan.output.components("finished: ") == 2, "\(plan.output)")
  }

  @Test("two processes that share layers out give the losses of one to a hundred-thousandth")
  func layers() throws {
    let changes = ["training.steps=6", "batch_size=2"]
    let one = try train(changes + ["output.folder=\(folder("one"))"], processes: 1)
    #expect(one.status == 0, "\(one.output)")
    let two = try train(changes + ["mesh.tensor=2", "output.folder=\(folder("two"))"], processes: 2)
    #expect(two.status == 0, "\(two.output)")
    let (expected, losses) = (try files.losses("one"), try files.losses("two"))
    #expect(losses.count == 6 && expected.count == 6)
    for (loss, expected) in zip(losses, expected) { #expect(abs(loss - expected) < 1e-5 * expected) }
  }

  @Test("four processes give the bits of one", .enabled(if: Environment.current().runsAllTests))
  func four() throws { try compare(processes: 4, (0...3).map { ["mesh.zero=\($0)"] }) }

  @Test("more processes than the mesh has places are told so, once")
  func mismatch() throws {
    let outcome = try train(["mesh.data=3"], processes: 2)
    #expect(outcome.status != 0)
    #expect(outcome.output.components("2 processes were launched, but the mesh has 3 places") == 2, "\(outcome.output)")
  }

  @Test(
    "a killed process ends the job with one line that names it, whatever is on its way",
    arguments: [(SIGKILL, 0), (SIGKILL, 1), (SIGKILL, 3), (SIGSTOP, 0)])
  func lost(_ signal: Int32, _ zero: Int) throws {
    let isStopped = signal == SIGSTOP
    var victim: pid_t?
    let outcome = try train(
      ["mesh.data=2", "mesh.zero=\(zero)", "training.steps=1000000", "output.save_every=1000000"]
        + (isStopped ? ["mesh.silence=10"] : []),
      processes: 2, grace: 5
    ) {
      guard victim == nil, (try? files.recordedSteps()) ?? 0 > 3, let found = process(rank: 1) else { return }
      victim = found
      kill(found, signal)
    }
    // Stopped processes are ended by the launcher; none may stay behind.
    if let victim { kill(victim, SIGKILL) }
    #expect(outcome.status != 0 && victim != nil)
    // A launcher that notices by itself shows nothing more, so the line stands in the run's folder too.
    let line = String(decoding: try TemporaryFolder.read(folder("run/lost.txt")), as: UTF8.self)
    #expect(line.hasPrefix("rank 1 of 2 on host "), "\(line)")
    // However late it was looked at.
    let words = isStopped ? "has shown no sign of life for " : "has ended; step "
    #expect(line.contains("(process \(victim ?? 0)) \(words)"), "\(line)")
    #expect(
      ["all-", "reduce-scatter", "requests of the first process"].contains { line.contains($0) }, "\(line)")
    if isStopped { #expect(outcome.output.components(line.dropLast().description) == 2, "\(outcome.output)") }
  }

  /// The process of a rank in this test's job.
  private func process(rank: Int) -> pid_t? {
    for name in FilePath.entries(of: "/proc") ?? [] {
      guard let number = pid_t(name), let words = try? FilePath.contents(of: "/proc/\(name)/cmdline", limit: 1 << 16),
        let variables = try? FilePath.contents(of: "/proc/\(name)/environ", limit: 1 << 20)
      else { continue }
      let (line, environment) = (String(decoding: words, as: UTF8.self), String(decoding: variables, as: UTF8.self))
      if line.hasPrefix(BuiltProgram.path), line.contains(files.recipe),
        environment.contains("OMPI_COMM_WORLD_RANK=\(rank)\0") || environment.contains("PMI_RANK=\(rank)\0")
      {
        return number
      }
    }
    return nil
  }
}

extension String {
  /// Into how many parts `separator` cuts it.
  fileprivate func components(_ separator: String) -> Int {
    var (count, rest) = (1, Substring(self))
    while let range = rest.firstRange(of: separator) { (count, rest) = (count + 1, rest[range.upperBound...]) }
    return count
  }
}
