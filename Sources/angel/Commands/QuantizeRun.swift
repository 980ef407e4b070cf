import AngelCPU
import AngelCheckpoint
import AngelCore
import AngelHCF
import AngelModels
import AngelNN
import AngelText

/// One run of `angel quantize`.
struct QuantizeRun {
  private let model: String
  private let target: String
  private let arguments: Arguments
  private let context: CommandContext
  private let checkpoint: Checkpoint
  private let backend: CPUBackend
  private let windowLength: Int
  /// Of the embedding and the output head, in rows of the model's width.
  private let embeddingType: DType

  init(model: String, target: String, _ arguments: Arguments, _ context: CommandContext) throws {
    self.model = model
    self.target = target
    self.arguments = arguments
    self.context = context
    checkpoint = try context.openCheckpoint(model)
    try checkpoint.requireTarget(target, isFolder: false, replaces: arguments[ModelsCommand.force])
    backend = try context.makeBackend(arguments)
    let outline = try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint)
    let width = outline.parameterShapes().first { $0.path == "embedding.weight" }?.parameter.shape[1] ?? 0
    embeddingType = arguments[QuantizeCommand.embedding].format(forRowsOf: width).dtype
    guard width % embeddingType.blockElements == 0 else {
      throw UsageError(
        "the embedding's rows of \(width) are no whole blocks of \(embeddingType.name): nothing of this model can be rounded",
        command: QuantizeCommand.name)
    }
    windowLength = arguments[QuantizeCommand.window] ?? min(512, max(2, checkpoint.dimensions.contextLength ?? 512))
  }

  func run() throws {
    let method = arguments[QuantizeCommand.method]
    let family = type(of: try ModelCatalog.languageModel(for: checkpoint).outline(checkpoint))
    guard method.scaling == nil || family.foldingPlan != nil else {
      throw QuantizerError.cannotScale(family: checkpoint.architecture)
    }
    // What is wrong with the text shows before anything is computed.
    let windows = try calibrationWindows(Tokenizer(checkpoint.tokenizer()))
    let before = try perplexity(of: checkpoint, arithmetic: .f32)
    let rounded = try round(windows)
    let written = try write(rounded)
    let after = try perplexity(of: Checkpoint.open(written.path), arithmetic: .fast)
    let speeds = try after.map { _ in
      (before: try decodeSpeed(of: checkpoint), after: try decodeSpeed(of: .open(written.path)))
    }
    let report = QuantizeReport(
      model: model, method: method, pruning: arguments[QuantizeCommand.prune], type: arguments[QuantizeCommand.type],
      byteCount: checkpoint.card.byteCount, rounded: rounded, written: written, before: before, after: after,
      speeds: speeds)
    if context.printsJSON { return try context.print(report.json) }
    for line in report.lines { try context.output.line(line) }
  }

  /// The layers, rounded in memory; the model they came from is gone when this returns.
  private func round(_ windows: [[Int32]]) throws -> Quantizer.Result {
    let loading = context.progress.start("loading \(model)", total: checkpoint.card.byteCount)
    let loaded = try LoadedLanguageModel(
      checkpoint, on: backend, arithmetic: .f32, report: { loading.update(to: $0, total: $1) })
    loading.finish()
    var quantizer = Quantizer()
    let method = arguments[QuantizeCommand.method]
    (quantizer.method, quantizer.scaling) = (method.rounding, method.scaling)
    quantizer.pruning = arguments[QuantizeCommand.prune]
    quantizer.format = arguments[QuantizeCommand.type]
    quantizer.budget = try budget(for: loaded.model, quantizer)
    quantizer.momentBytes = arguments[QuantizeCommand.moments]
    let calibrating = context.progress.start(
      !windows.isEmpty ? "calibrating" : "rounding", total: nil, unit: .items("tokens"))
    quantizer.report = { [context] done, total in
      try context.interruption.check()
      calibrating.update(to: done, total: total)
    }
    let result = try quantizer.quantize(loaded.model, windows: windows, on: backend, pool: backend.pool)
    calibrating.finish()
    return result
  }

  /// What types are chosen by; nil: all are of --type.
  private func budget(for model: any LanguageModel, _ quantizer: Quantizer) throws -> PrecisionPlan.Budget? {
    if let bits = arguments[QuantizeCommand.bits] { return .bits(bits) }
    if let share = arguments[QuantizeCommand.maxLoss] { return .loss(share) }
    guard let size = arguments[QuantizeCommand.size] else { return nil }
    let others = quantizer.byteCount(ofOthersIn: model, matrices: embeddingType)
    guard size > others else {
      throw UsageError(
        "--size \(TextFormat.bytes(size)) is less than embedding, head and norms take alone, \(TextFormat.bytes(others)): "
          + "choose a larger size, or a smaller --embedding", command: QuantizeCommand.name)
    }
    return .bytes(size - others)
  }

  private func write(_ rounded: Quantizer.Result) throws -> ModelConverter.Result {
    var request = ModelConverter.Request(
      target: target, layout: .gguf, matrixType: embeddingType)
    request.encoded = rounded.encoded
    request.replaces = arguments[ModelsCommand.force]
    let display = context.progress.start("writing \(target)", total: nil)
    let converter = ModelConverter(on: backend) { [context] written, total in
      try context.interruption.check()
      display.update(to: written, total: total)
    }
    let result = try converter.convert(checkpoint, request)
    display.finish()
    return result
  }

  private func calibrationWindows(_ tokenizer: Tokenizer) throws -> [[Int32]] {
    guard let path = arguments[QuantizeCommand.calibration] else { return [] }
    let windows = try self.windows(of: path, tokenizer)
    let count = min(windows.count, arguments[QuantizeCommand.windows])
    return (0..<count).map { windows[$0 * windows.count / count] }
  }

  /// A text in windows, at least one.
  private func windows(of path: String, _ tokenizer: Tokenizer) throws -> [[Int32]] {
    let file = try MappedFile(path: path)
    let bytes = try file.withBytes(0..<file.byteCount) { Array($0) }
    let tokens = try tokenizer.encode(bytes, addingSpecialTokens: false, parsingSpecialTokens: false)
    guard tokens.count >= 2 else { throw QuantizerError.noText }
    return TextWindows.cut(tokens, size: windowLength)
  }

  /// Nil without --text.
  private func perplexity(of checkpoint: Checkpoint, arithmetic: Arithmetic) throws -> Double? {
    guard let path = arguments[QuantizeCommand.text] else { return nil }
    var options = EngineOptions()
    options.contextLength = windowLength
    options.cacheDType = arithmetic.cacheDType
    let session = try LanguageModelSession(
      checkpoint, on: backend, pool: backend.pool, arithmetic: arithmetic, options: options)
    session.engine.isInterrupted = { [context] in context.interruption.isRequested }
    let windows = try self.windows(of: path, session.tokenizer).prefix(arguments[QuantizeCommand.textWindows])
    let label = "scoring \(FilePath.split(checkpoint.path).name)"
    return try context.perplexity(of: windows, label, with: session.engine).value
  }

  /// Tokens a second, one at a time, as the model will run.
  private func decodeSpeed(of checkpoint: Checkpoint) throws -> Double {
    var options = EngineOptions()
    options.contextLength = Self.timedTokens + 2
    let session = try LanguageModelSession(
      checkpoint, on: backend, pool: backend.pool, arithmetic: .fast, options: options)
    let sequence = session.engine.makeSequence()
    // The first steps find memory and are recorded.
    for _ in 0..<2 { _ = try session.engine.logits(after: [1], in: sequence) }
    let start = ContinuousClock.now
    for _ in 0..<Self.timedTokens { _ = try session.engine.logits(after: [1], in: sequence) }
    return Double(Self.timedTokens) / ((ContinuousClock.now - start) / .seconds(1))
  }

  private static let timedTokens = 32
}
