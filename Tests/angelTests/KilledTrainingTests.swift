import AngelCore
import AngelPTM
import AngelTesting
import Glibc
import Testing

/// Runs of the built program that end as no test could end its own process: killed, or on a full disk.
@Suite("Killed runs") struct KilledTrainingTests {
  let folder: TemporaryFolder
  let files: TrainingFiles

  init() throws {
    folder = try TemporaryFolder()
    files = try TrainingFiles(folder)
  }

  /// Starts `angel train RECIPE --resume` in a shell that first runs `preparation`.
  private func start(_ preparation: String = "", _ changes: String = "") throws -> pid_t {
    try program.start("train '\(files.recipe)' --resume --threads 1 \(changes)", after: preparation)
  }

  private var program: BuiltProgram { BuiltProgram(folder: folder) }
  private func wait(_ process: pid_t) -> Int32 { program.wait(process) }
  private func text(_ name: String) -> String { program.text(name) }

  /// Waits until the run's metrics have a number of steps, at most for a minute: a process that ended by itself adds none.
  private func waitForSteps(_ count: Int) throws {
    for _ in 0..<30_000 {
      if try files.recordedSteps() >= count { return }
      usleep(2000)
    }
    Issue.record("no step \(count) within a minute: \(text("errors"))")
  }

  @Test("kill -9 at any moment loses at most the steps since the last checkpoint")
  func killed() throws {
    var random = SeededRandom(seed: UInt64(getpid()))
    var reached = 0
    for round in 0..<(Environment.current().runsAllTests ? 20 : 4) {
      let process = try start("", "training.steps=100000")
      // Every other one is let come to a checkpoint (save_every is 2); the rest may end at any moment, their start included.
      let isLet = round % 2 == 1
      if isLet { try waitForSteps(reached + 3) }
      usleep(UInt32.random(in: 0...(isLet ? 200_000 : 1_500_000), using: &random))
      kill(process, SIGKILL)
      #expect(wait(process) == 128 + SIGKILL, "\(text("errors"))")
      guard let latest = try TrainingCheckpoint.latest(in: files.checkpoints) else {
        #expect(!isLet)
        continue
      }
      try latest.verify()
      #expect(latest.step >= reached + (isLet ? 2 : 0))
      #expect(try files.recordedSteps() <= latest.step + 2)
      reached = latest.step
    }
    #expect(reached >= 4)
  }

  @Test("a run that was killed and taken up again ends with the weights of one that was not")
  func killedAndFinished() throws {
    #expect(wait(try start("", "output.folder='\(folder("whole"))'")) == 0, "\(text("errors"))")
    let process = try start()
    // As soon as something has been saved.
    while FilePath.kind(files.checkpoints + "/latest") == nil, waitpid(process, nil, WNOHANG) == 0 { usleep(2000) }
    kill(process, SIGKILL)
    _ = wait(process)
    #expect(wait(try start()) == 0, "\(text("errors"))")
    #expect(try files.weights() == files.weights("whole"))
  }

  @Test(
    "Ctrl-C in the middle saves the step that was taken, exits with 130, and the rest is bit for bit that of a run that was not",
    arguments: [SIGINT, SIGTERM])
  func interrupted(_ signal: Int32) throws {
    // With a constant rate a step does not depend on how many there are to be, so the run can be one that never ends by itself.
    let changes = "schedule.shape=constant output.save_every=null"
    let process = try start("", "\(changes) training.steps=100000")
    try waitForSteps(3)
    kill(process, signal)
    #expect(wait(process) == 130, "\(text("errors"))")
    let latest = try #require(try TrainingCheckpoint.latest(in: files.checkpoints))
    #expect(try latest.step == files.recordedSteps() && latest.step >= 3)
    let end = "\(changes) training.steps=\(latest.step + 4)"
    #expect(wait(try start("", end)) == 0, "\(text("errors"))")
    #expect(text("output").contains("resumed from step \(latest.step)"))
    #expect(wait(try start("", "\(end) output.folder='\(folder("whole"))'")) == 0, "\(text("errors"))")
    #expect(try files.weights() == files.weights("whole"))
    #expect(try files.losses() == files.losses("whole"))
  }

  @Test("a disk that fills during a checkpoint costs that checkpoint alone")
  func fullDisk() throws {
    #expect(wait(try start("", "training.steps=4")) == 0, "\(text("errors"))")
    // A file may have 20 blocks of 512 bytes: metrics fit, a checkpoint does not.
    #expect(wait(try start("trap '' XFSZ; ulimit -f 20;", "training.steps=8")) == 1)
    let errors = text("errors")
    #expect(
      errors.hasPrefix("error: ") && errors.contains("model.safetensors") && errors.split(separator: "\n").count == 1)
    let latest = try #require(try TrainingCheckpoint.latest(in: files.checkpoints))
    try latest.verify()
    #expect(latest.step == 4)
    #expect(FilePath.entries(of: files.checkpoints)?.contains(where: { $0.hasPrefix(".") }) == false)
    #expect(wait(try start("", "training.steps=8")) == 0, "\(text("errors"))")
    #expect(try TrainingCheckpoint.latest(in: files.checkpoints)?.step == 8)
  }
}
