/// A job for Slurm that trains until it is done: whenever its time or its place runs out it stops after a checkpoint, is put back
/// into the queue, and goes on from there.
public struct SlurmJob: Sendable {
  /// How processes of an MPI program find each other under `srun`.
  public enum Launch: String, CaseIterable, Sendable { case pmix, pmi2, openmpi, none }

  /// What the job runs, word by word; it must go on where an earlier run has stopped, and end with `stoppedStatus` where it was
  /// asked to stop.
  public var command: [String]
  public var name: String
  public var processCount: Int
  /// Where output goes; lines of later runs of the same job follow.
  public var outputPath: String
  public var launch = Launch.pmix
  /// Nil: as the cluster has it.
  public var nodeCount: Int?
  public var coresPerProcess: Int?
  /// As Slurm reads it: minutes, HH:MM:SS or D-HH:MM:SS.
  public var timeLimit: String?
  public var partition: String?
  public var account: String?
  /// Seconds before the time limit at which processes are asked to stop.
  public var graceSeconds = 120
  /// More options of `sbatch`, each a line.
  public var options: [String] = []

  public init(command: [String], name: String, processCount: Int, outputPath: String) {
    self.command = command
    self.name = name
    self.processCount = processCount
    self.outputPath = outputPath
  }

  /// The exit status of work that was asked to stop and has saved its state.
  public static let stoppedStatus = 130

  /// The batch script.
  public var script: String {
    var lines = ["#!/bin/bash", "# Written by angel submit; may be edited and given to sbatch again."]
    lines += directives.map { "#SBATCH " + $0 }
    let launcher = launch == .none ? "srun" : "srun --mpi=\(launch.rawValue)"
    let cores = coresPerProcess.map { " --cpus-per-task=\($0)" } ?? ""
    lines += [
      "", "\(launcher)\(cores) " + command.map(Self.quoted).joined(separator: " "), "status=$?",
      "# Asked to stop, it has saved a checkpoint: the job goes back into the queue and on from there.",
      "if [ \"$status\" -eq \(Self.stoppedStatus) ]; then scontrol requeue \"$SLURM_JOB_ID\"; fi", "exit \"$status\"",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  private var directives: [String] {
    var lines = ["--job-name=" + Self.quoted(name), "--ntasks=\(processCount)"]
    if let nodeCount { lines.append("--nodes=\(nodeCount)") }
    if let coresPerProcess { lines.append("--cpus-per-task=\(coresPerProcess)") }
    if let timeLimit { lines.append("--time=" + timeLimit) }
    if let partition { lines.append("--partition=" + Self.quoted(partition)) }
    if let account { lines.append("--account=" + Self.quoted(account)) }
    // To the processes, not to this script, which has to see how they end.
    lines += [
      "--signal=TERM@\(graceSeconds)", "--requeue", "--open-mode=append", "--output=" + Self.quoted(outputPath),
    ]
    return lines + options
  }

  /// A word as shells and `sbatch` read it back.
  static func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        || "._-/=:,@%+".utf8.contains(byte)
    }
    guard !isPlain || word.isEmpty else { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}
