import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelMemory
import AngelData
import AngelModels
import AngelNN
import AngelPTM
import AngelTensor

/// `angel bench training`: whole steps (forward, loss, backward, clipping, update) of a model with random weights on
/// random tokens, and a product of two matrices timed between them.
enum BenchTraining {
  /// Sizes that other engines are measured with too (Benchmarks/training).
  enum Model: String, CaseIterable, Sendable {
    case gpt2 = "gpt2-124m"
    case llama15M = "llama-15m"
    case smolLM2 = "smollm2-135m"

    /// The sizes, and the sequences and tokens that rows are usually measured with.
    var sizes: (batch: Int, sequence: Int) {
      switch self {
      case .gpt2: (4, 256)
      case .llama15M: (16, 256)
      case .smolLM2: (2, 512)
      }
    }

    func make() -> any LanguageModel {
      var architecture = ArchitectureConfiguration()
      switch self {
      case .gpt2:
        architecture.family = .gpt2
        (architecture.layers, architecture.width, architecture.heads) = (12, 768, 12)
        return architecture.makeModel(vocabularySize: 50_257, sequenceLength: 1024)
      case .llama15M:
        (architecture.layers, architecture.width, architecture.heads, architecture.inner) = (6, 288, 6, 768)
        return architecture.makeModel(vocabularySize: 32_000, sequenceLength: 1024)
      case .smolLM2: return LlamaModel(.smolLM2_135M)
      }
    }
  }

  static let model = Option<Model>.choice("model", default: .gpt2, help: "training: the sizes of the model")
  static let sequence = Option<Int?>.integer("sequence", in: 1...1 << 20, help: "training: tokens of a sequence")
  static let sequences = Option<Int?>.integer("sequences", in: 1...1 << 16, help: "training: sequences of a batch")
  static let steps = Option<Int>.integer(
    "steps", default: 6, in: 1...100_000, help: "training: steps, the first warms up")
  static let lora = Option.flag("lora", help: "training: adapters of rank 16 beside frozen weights")
  static let optimizer = Option<OptimizerConfiguration.Rule>.choice(
    "optimizer", default: .adamw, help: "training: the rule by which parameters change")
  static let recompute = Option.flag("recompute", help: "training: compute layers again in the backward pass")
  static let quantized = Option<BlockFormat?>.custom(
    "quantized", placeholder: BlockFormat.allCases.map(\.rawValue).joined(separator: "|"),
    expects: BlockFormat.allCases.map(\.rawValue).joined(separator: ", "),
    help: "training: with --lora, the blocks that frozen layers are held in (QLoRA)"
  ) { BlockFormat(rawValue: $0) }
  static let updateInBackward = Option.flag(
    "update-in-backward", help: "training: change parameters inside the backward pass, without clipping")
  static let options = [
    model.declaration, sequence.declaration, sequences.declaration, steps.declaration, lora.declaration,
    optimizer.declaration, recompute.declaration, quantized.declaration, updateInBackward.declaration,
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) throws {
    guard arguments[quantized] == nil || arguments[lora] else {
      throw UsageError(
        "--quantized holds frozen layers in blocks, which --lora leaves beside adapters", command: "bench")
    }
    let before = ProcessMemory.peak()
    let backend = try context.makeBackend(arguments)
    let kind = arguments[model]
    let source = RandomTokens(
      vocabularySize: 32_000, length: arguments[sequence] ?? kind.sizes.sequence,
      batchSize: arguments[sequences] ?? kind.sizes.batch)
    var recipe = TrainingRecipe()
    recipe.precision = context.precision == .f32 ? .f32 : .bf16
    recipe.training.steps = arguments[steps] + 1
    recipe.training.recompute = arguments[recompute]
    // Measuring updates costs a pass over the weights.
    recipe.training.watchEvery = nil
    recipe.optimizer.rule = arguments[optimizer]
    recipe.training.updateInBackward = arguments[updateInBackward]
    if arguments[updateInBackward] { recipe.optimizer.clip = nil }
    recipe.sequenceLength = source.length
    if arguments[lora] {
      recipe.lora = LoRAConfiguration()
      recipe.lora?.quantize = arguments[quantized]
    }
    let shapes = ShapesBackend(readsZeros: true)
    let plan = try RunPlan(recipe, makeModel(kind.make(), recipe, on: shapes), source, on: shapes)
    let trainer = try Trainer(
      makeModel(kind.make(), recipe, on: backend), source: source, optimizer: recipe.optimizer,
      learningRate: recipe.learningRate, schedule: recipe.training, on: backend)
    let gemm = ProductProbe(recipe.precision, on: backend)
    var rows: [Row] = []
    for _ in 0...arguments[steps] {
      try context.interruption.check()
      let (cpu, faults) = (BenchCommand.cpuSeconds(), BenchCommand.pageFaults())
      let record = try trainer.takeStep()
      let cpuSeconds = BenchCommand.cpuSeconds() - cpu
      let pageFaults = BenchCommand.pageFaults() - faults
      rows.append(
        Row(
          record: record, cpuSeconds: cpuSeconds, pageFaults: pageFaults, gemmGigaflops: try gemm.measure()))
    }
    let memory = Memory(
      planned: plan.memory.total, used: backend.pool.usage.peakByteCount,
      touched: backend.pool.usage.residentByteCount, process: ProcessMemory.peak() - before)
    try show(kind, rows, source, recipe, memory, backend, context)
  }

  /// The run's memory at its peak, in bytes: as planned, in tensors, in the pool's pages, and what the process grew by.
  private struct Memory {
    let planned: Int
    let used: Int
    let touched: Int
    let process: Int
  }

  /// One step and the product timed after it.
  private struct Row {
    let record: StepRecord
    let cpuSeconds: Double
    let pageFaults: Int
    let gemmGigaflops: Double
  }

  /// The model with random weights, trained ones or frozen ones beside adapters.
  private static func makeModel(
    _ model: some LanguageModel, _ recipe: TrainingRecipe, on backend: any Backend
  ) throws -> any LanguageModel {
    var model = model
    model.compute(in: recipe.precision.dtype)
    guard let lora = recipe.lora else {
      InitialValues.fill(
        model, seed: 0, layerCount: model.configuration.cacheGeometry.layerCount, on: backend)
      return model
    }
    try ParameterFiller(dtype: recipe.precision.dtype, on: backend, arithmetic: .f32).fill(&model)
    if let format = lora.quantize { Adapters.quantize(&model, to: format) }
    _ = try Adapters.attach(
      lora, to: &model, names: type(of: model).names(for: model.configuration), seed: 0, on: backend)
    model.compute(in: recipe.precision.dtype)
    return model
  }

  private static func show(
    _ kind: Model, _ rows: [Row], _ source: RandomTokens, _ recipe: TrainingRecipe, _ memory: Memory,
    _ backend: CPUBackend, _ context: CommandContext
  ) throws {
    let counted = rows.dropFirst()
    let seconds = counted.map(\.record.seconds).median
    let cpu = counted.map(\.cpuSeconds).median
    let gigaflops = counted.map(\.record.gigaflops).median
    let gemm = counted.map(\.gemmGigaflops).median
    let tokens = Double(source.rowLimit)
    if context.printsJSON {
      return try context.print([
        "model": .string(kind.rawValue), "batch": .integer(source.batchSize), "sequence": .integer(source.length),
        "precision": .string(recipe.precision.rawValue), "lora": .bool(recipe.lora != nil),
        "quantized": recipe.lora?.quantize.map { .string($0.rawValue) } ?? .null,
        "recompute": .bool(recipe.training.recompute), "update_in_backward": .bool(recipe.training.updateInBackward),
        "optimizer": .string(recipe.optimizer.rule.rawValue), "threads": .integer(backend.threadCount),
        "instruction_set": .string(backend.instructionSet), "tokens_per_second": .number(tokens / seconds),
        "tokens_per_cpu_second": .number(tokens / cpu), "seconds_per_step": .number(seconds),
        "gflops": .number(gigaflops),
        "mfu": .number(gigaflops / gemm), "gemm_gflops": .number(gemm),
        "page_faults": .array(rows.map { .integer($0.pageFaults) }),
        "peak_rss_bytes": .integer(ProcessMemory.peak()), "planned_bytes": .integer(memory.planned),
        "tensor_peak_bytes": .integer(memory.used), "pool_bytes": .integer(memory.touched),
        "process_growth_bytes": .integer(memory.process), "loss": .array(rows.map { .number($0.record.loss) }),
      ])
    }
    let line =
      "\(kind.rawValue) \(recipe.precision.rawValue) \(words(recipe)) "
      + "\(source.batchSize)x\(source.length): "
      + "\(TextFormat.fixed(tokens / seconds, digits: 0)) tokens/s, "
      + "\(TextFormat.fixed(tokens / cpu, digits: 0)) per CPU-s, \(TextFormat.fixed(gigaflops, digits: 0)) GFLOP/s, "
      + "\(TextFormat.fixed(100 * gigaflops / gemm, digits: 0)) % of the product timed between the steps "
      + "(\(TextFormat.fixed(gemm, digits: 0)) GFLOP/s), peak \(TextFormat.bytes(ProcessMemory.peak())) (planned \(TextFormat.bytes(memory.planned)), the process grew by "
      + "\(TextFormat.bytes(memory.process))), "
      + "kernels for \(backend.instructionSet)"
    try context.output.line(line)
  }
}

extension BenchTraining {
  /// How the steps are made: `LoRA q4_0 adamw recompute`.
  private static func words(_ recipe: TrainingRecipe) -> String {
    var words = recipe.lora == nil ? [] : ["LoRA"]
    if let format = recipe.lora?.quantize { words.append(format.rawValue) }
    words.append(recipe.optimizer.rule.rawValue)
    if recipe.training.recompute { words.append("recompute") }
    if recipe.training.updateInBackward { words.append("update in backward") }
    return words.joined(separator: " ")
  }
}

/// Batches of random tokens, every one of them trained.
struct RandomTokens: BatchSource {
  let vocabularySize: Int
  let length: Int
  let batchSize: Int

  var rowLimit: Int { length * batchSize }
  var batchesPerEpoch: Int { 1 }

  func batch(_ index: Int) throws -> TokenBatch {
    var batch = TokenBatch()
    let generator = PhiloxGenerator(seed: UInt64(index), stream: 7)
    for sequence in 0..<batchSize {
      let tokens = (0...length).map {
        Int32(generator.word(at: UInt64(sequence * (length + 1) + $0)) % UInt32(vocabularySize))
      }
      batch.append(TokenSample(tokens))
    }
    return batch
  }
}
