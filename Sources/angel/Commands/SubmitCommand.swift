import AngelCore
import AngelDistributed
import AngelPTM
import Glibc

/// `angel submit RECIPE`: the run of `angel train` as a job of Slurm, put back into the queue until it is done.
enum SubmitCommand: Command {
  static let name = "submit"
  static let summary = "train on a Slurm cluster as a recipe says"
  static let details = """
    Writes OUTPUT/job.sh, a batch script that runs `angel train RECIPE --resume` on as many processes as the recipe's mesh has,
    and gives it to sbatch. --grace seconds before the time limit the run stops after a step and saves; the job then
    goes back into the queue and on from that checkpoint, bit for bit as if it had not stopped. So it does after its place
    was taken or a node was lost, from the last checkpoint. What it prints is in OUTPUT/job.log. OUTPUT (output.folder), recipe,
    data and this program must lie on storage that all hosts share. `scancel` ends it for good.
    """
  static let positionals = TrainCommand.positionals
  static let nodes = Option<Int?>.integer("nodes", in: 1...65_536, help: "hosts (default: as few as have room)")
  static let cores = Option<Int?>.integer("cores", in: 1...4096, help: "cores of each process")
  static let time = Option.text("time", placeholder: "LIMIT", help: "minutes, HH:MM:SS or D-HH:MM:SS of one turn")
  static let partition = Option.text("partition", placeholder: "NAME", help: "where to run")
  static let account = Option.text("account", placeholder: "NAME", help: "whose time it is")
  static let grace = Option.integer(
    "grace", placeholder: "SECONDS", default: 120, in: 1...65_535,
    help: "how long before the limit it stops: what a step and a checkpoint take")
  static let launch = Option<SlurmJob.Launch>.choice(
    "mpi", default: .pmix, help: "how srun starts MPI programs (srun --mpi=list)")
  static let extra = Option.texts("sbatch", placeholder: "OPTION", help: "another option of sbatch, such as --mem=64G")
  static let resume = Option<Bool>.flag("resume", help: "go on with a run that is in the folder")
  static let printing = Option<Bool>.flag("print", help: "print the script and do nothing")
  static let options = [
    nodes.declaration, cores.declaration, time.declaration, partition.declaration, account.declaration,
    grace.declaration, launch.declaration, extra.declaration, resume.declaration, printing.declaration,
  ]
  static let examples = [
    "submit Recipes/llama-15m.yaml mesh.data=8 --nodes 2 --cores 16 --time 12:00:00",
    "submit Recipes/lora.yaml --print",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    let (recipe, _) = try TrainCommand.recipe(arguments, context, name)
    let job = try job(recipe, arguments, context)
    guard !arguments[printing] else { return try context.output.write(job.script) }
    guard let sbatch = ChildProcess.find("sbatch", in: context.environment) else {
      throw SubmitError.noSlurm
    }
    try TrainingRun.makeFolder(recipe, resumes: arguments[resume])
    let script = FilePath.join(recipe.output.folder, "job.sh")
    let file = try AtomicFile(path: script)
    try file.write(Array(job.script.utf8))
    try file.commit()
    let outcome = try ChildProcess.run(
      [sbatch, "--parsable", script], environment: context.environment.childEntries(adding: [:]),
      interruption: context.interruption, whileRunning: {})
    // The cluster's name may follow.
    guard outcome.status == 0, let number = outcome.output.firstMatch(of: /^(\d+)/)?.1 else {
      throw SubmitError.refused(script: script, reason: outcome.output)
    }
    if context.printsJSON {
      return try context.print([
        "job": .string(String(number)), "script": .string(script), "log": .string(job.outputPath),
      ])
    }
    try context.output.line("job \(number) is in the queue: \(script), which writes to \(job.outputPath)")
    try context.output.line("squeue -j \(number) shows where it is, scancel \(number) ends it")
  }

  private static func job(
    _ recipe: TrainingRecipe, _ arguments: Arguments, _ context: CommandContext
  ) throws -> SlurmJob {
    let own = "/proc/self/exe"
    guard let program = realpath(own, nil) else { throw FileError.lastSystemError("find", own) }
    defer { free(program) }
    var command = [String(cString: program), "train"] + arguments.positionals + ["--resume"]
    if let threads = context.threads ?? arguments[cores] { command += ["--threads", "\(threads)"] }
    let folder = recipe.output.folder
    var job = SlurmJob(
      command: command, name: FilePath.split(folder).name, processCount: recipe.mesh.processCount,
      outputPath: FilePath.join(folder, "job.log"))
    job.launch = recipe.mesh.processCount > 1 ? arguments[launch] : .none
    (job.nodeCount, job.coresPerProcess, job.timeLimit) = (arguments[nodes], arguments[cores], arguments[time])
    (job.partition, job.account) = (arguments[partition], arguments[account])
    (job.graceSeconds, job.options) = (arguments[grace], arguments[extra])
    return job
  }
}

/// Why a job is not in the queue.
enum SubmitError: DescribedError, Equatable {
  case noSlurm
  case refused(script: String, reason: String)

  var description: String {
    switch self {
    case .noSlurm:
      "no sbatch is found in PATH: submit from a host of the cluster, or take --print and give the script to it yourself"
    case .refused(let script, let reason):
      "sbatch does not take '\(script)': "
        + (reason.split(separator: "\n").last.map(String.init) ?? "it gave no reason")
    }
  }
}
