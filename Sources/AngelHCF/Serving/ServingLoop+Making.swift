import AngelMemory
import AngelModels
import AngelNN
import AngelTensor
import AngelText

extension ServingLoop {
  /// Puts an adapter beside the model, and its name among those that requests may give.
  func load(_ folder: PEFTFolder, as name: String, _ names: AdapterNames) throws {
    guard let adapters else { throw EngineError.adaptersFull(limit: 0) }
    guard !names.has(name) else { throw EngineError.adapterExists(name: name) }
    let (adapter, outdates) = try adapters.add(folder, as: name)
    if outdates { runner.forgetRecorded() }
    names.insert(adapter)
  }

  /// A loop over a loaded model; `tokenizer` nil gives answers without text.
  convenience init(
    _ model: any LanguageModel, tokenizer: Tokenizer?, endTokens: Set<Int32>, on backend: any Backend, pool: PagePool,
    options: ServingOptions
  ) throws {
    var model = model
    let bank =
      options.adapterLimit > 0
      ? AdapterBank(beside: &model, limit: options.adapterLimit, rowLimit: options.rowLimit, on: backend) : nil
    let configuration = model.configuration
    let contextLength = try options.engine.contextLength(for: configuration)
    let geometry = configuration.cacheGeometry
    let cache = KeyValueCache(
      geometry: geometry, dtype: options.engine.cacheDType,
      tokenLimit: max(contextLength, options.cacheTokens ?? 4 * contextLength), pool: pool)
    let runner = StepRunner(
      model, cache: cache, contextLength: contextLength, recordedRows: options.recordedRows, adapters: bank,
      sparsePrefill: options.engine.sparsePrefill, on: backend)
    self.init(
      Settings(
        limits: SchedulerLimits(
          rows: options.rowLimit, sequences: options.sequenceLimit, windows: geometry.windows),
        contextLength: contextLength, vocabularySize: configuration.vocabularySize, tokenizer: tokenizer,
        endTokens: endTokens, rotaryScaling: configuration.rotaryScaling,
        sharesPrefixes: options.sharesPrefixes, sharesAnswers: options.engine.sparsePrefill == nil,
        guessing: options.speculates ? .asPays : .off),
      pool: cache.blocks,
      runner: ModelBatchRunner(runner, logitRows: options.logitRows, on: backend),
      adapters: bank.map { AdapterPlaces($0, beside: runner.model, on: backend) })
  }
}
