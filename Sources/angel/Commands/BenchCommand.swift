import Glibc

/// `angel bench`: how fast this machine runs a model or a kernel.
enum BenchCommand: Command {
  static let name = "bench"
  static let summary =
    "measure speed: inference, serving, training on one and several processes, tokenizers, kernels, attention"
  static let details = """
    inference: prefill and decode of MODEL, or of a --shape with random weights, each from an empty context or after
    --depth tokens; one run warms up, then the median of --repetitions counts. tokens/s is by the clock, per CPU-s by the
    time all threads took. --batch: requests that come at once, through the engine that serves them, prompts included.
    tokenizer: how long the one of MODEL takes to be ready, and the text it encodes and decodes on
    one core. training: whole steps of --model with random weights. kernels: every kernel against what
    memory and arithmetic units of this machine give at most, measured in the same run; a share of 1 is the roof.
    attention: each of its choices (tiles, split positions, windows, shared beginnings, paged and few-bit caches) beside the
    same rows without it, in turns, and where it pays; --shape and --cache say of what model and cache.
    distributed: what --model sends in a step of every layout, and how much of the wire's time does not show on links of
    --gigabits beside a free link, in --steps turns, on the processes that mpirun started.
    speculation: twelve answers of MODEL with guesses beside the same without, in turns.
    serve: URL's server, or any other with OpenAI's /v1/completions, under a load; options and JSON as `vllm bench serve`.
    """
  static let positionals = [
    Positional(
      name: "WHAT",
      choices: ["inference", "speculation", "serve", "training", "distributed", "tokenizer", "kernels", "attention"],
      help: "what to measure"),
    Positional(
      name: "MODEL", isRequired: false, kind: .model,
      help: "inference, speculation and tokenizer: a name in the store, a folder or a file; serve: the URL"),
  ]
  static let options =
    BenchInference.options + [SpeculationOptions.option.declaration] + BenchServe.options + BenchTraining.options
    + BenchDistributed.options + BenchKernels.options
  static let examples = [
    "bench inference smollm2 --threads 2", "bench inference smollm2 --depth 4096 --json",
    "bench inference smollm2 --tests none --batch 1,8,32", "bench inference --shape llama-1b --format q4_k --bandwidth",
    "bench tokenizer smollm2", "bench kernels --quick", "bench attention --shape llama-1b",
    "bench serve http://127.0.0.1:8000 --num-prompts 64 --max-concurrency 8",
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    switch try arguments.required(0, "WHAT", name) {
    case "kernels":
      if let extra = arguments.positional(1) { throw UsageError("unexpected argument '\(extra)'", command: name) }
      try context.interruption.deferred { try BenchKernels.run(arguments, context) }
    case "attention":
      if let extra = arguments.positional(1) { throw UsageError("unexpected argument '\(extra)'", command: name) }
      try context.interruption.deferred { try BenchAttention.run(arguments, context) }
    case "tokenizer": try context.interruption.deferred { try BenchTokenizer.run(arguments, context) }
    case "training":
      if let extra = arguments.positional(1) { throw UsageError("unexpected argument '\(extra)'", command: name) }
      try context.interruption.deferred { try BenchTraining.run(arguments, context) }
    case "distributed":
      if let extra = arguments.positional(1) { throw UsageError("unexpected argument '\(extra)'", command: name) }
      try context.interruption.deferred { try BenchDistributed.run(arguments, context) }
    case "speculation": try context.interruption.deferred { try BenchSpeculation.run(arguments, context) }
    // There is nothing to put in order: Ctrl-C may end it wherever it waits.
    case "serve": try BenchServe.run(arguments, context)
    default: try context.interruption.deferred { try BenchInference.run(arguments, context) }
    }
  }

  /// CPU time of all threads of this process so far.
  static func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// How often this process has touched memory that was not mapped yet.
  static func pageFaults() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_minflt)
  }
}

extension Array<Double> {
  /// The middle value of a list that is not empty, the upper one of two.
  var median: Double { sorted()[count / 2] }
}
