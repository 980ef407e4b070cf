import AngelDistributed
import Testing

@Suite("Jobs for Slurm") struct SlurmJobTests {
  @Test("a script goes on where it has stopped, and words come through as they are")
  func script() {
    var job = SlurmJob(
      command: ["/opt/my tools/angel", "train", "it's.yaml", "data.train=[a.txt]", "--resume"], name: "run 1",
      processCount: 8, outputPath: "runs/run 1/job.log")
    (job.nodeCount, job.coresPerProcess, job.timeLimit, job.partition) = (2, 4, "1-12:00:00", "long")
    (job.graceSeconds, job.options) = (300, ["--mem=64G"])
    #expect(
      job.script == """
        #!/bin/bash
        # Written by angel submit; may be edited and given to sbatch again.
        #SBATCH --job-name='run 1'
        #SBATCH --ntasks=8
        #SBATCH --nodes=2
        #SBATCH --cpus-per-task=4
        #SBATCH --time=1-12:00:00
        #SBATCH --partition=long
        #SBATCH --signal=TERM@300
        #SBATCH --requeue
        #SBATCH --open-mode=append
        #SBATCH --output='runs/run 1/job.log'
        #SBATCH --mem=64G

        srun --mpi=pmix --cpus-per-task=4 '/opt/my tools/angel' train 'it'\\''s.yaml' 'data.train=[a.txt]' --resume
        status=$?
        # Asked to stop, it has saved a checkpoint: the job goes back into the queue and on from there.
        if [ "$status" -eq 130 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
        exit "$status"

        """)
  }

  @Test("a single process needs no MPI")
  func single() {
    var job = SlurmJob(command: ["angel"], name: "a", processCount: 1, outputPath: "a/job.log")
    job.launch = .none
    #expect(job.script.contains("\nsrun angel\n") && job.script.contains("\n#SBATCH --signal=TERM@120\n"))
    #expect(!job.script.contains("--nodes") && !job.script.contains("--time"))
  }
}
