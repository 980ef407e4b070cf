public import AngelCore

/// Why the engine refused or stopped.
public enum EngineError: DescribedError, Equatable {
  case emptyPrompt
  case tokenOutOfRange(token: Int32, vocabularySize: Int)
  case contextExceeded(tokens: Int, held: Int, limit: Int)
  case noRoomForAnswer(tokens: Int, limit: Int)
  case contextTooLong(requested: Int, supported: Int)
  /// A context beyond what prompts can choose from.
  case contextTooSparse(requested: Int, limit: Int)
  /// A memory plan beyond its budget, in bytes; the longest context that would fit, nil when not even a short one does.
  case memoryExceeded(
    needed: Int, weights: Int, cache: Int, contextLength: Int, budget: Int, fittingContext: Int?)
  /// A memory plan for many requests beyond its budget, in bytes; so many tokens of cache would fit.
  case cacheExceeded(needed: Int, weights: Int, cache: Int, cacheTokens: Int, budget: Int, fitting: Int)
  /// An encoder's memory plan beyond its budget, in bytes.
  case encoderMemoryExceeded(needed: Int, weights: Int, budget: Int)
  /// Adapters beside the model of a serving engine.
  case adapterMissing(name: String)
  case adapterExists(name: String)
  case adaptersFull(limit: Int)
  case adapterMemory(name: String, reason: String)
  /// Logits that are NaN after a token of a window.
  case damagedLogits(position: Int)

  public var description: String {
    switch self {
    case .emptyPrompt: "the prompt has no tokens: give some text"
    case .tokenOutOfRange(let token, let size):
      "token \(token) is not in the vocabulary, whose ids run from 0 to \(size - 1)"
    case .contextExceeded(let tokens, let held, let limit):
      "\(tokens) tokens\(held > 0 ? " after \(held)" : "") exceed the context of \(limit): shorten the text or raise --context"
    case .noRoomForAnswer(let tokens, let limit):
      "the prompt of \(tokens) tokens leaves no room for an answer in the context of \(limit): "
        + "shorten the text or raise --context"
    case .contextTooLong(let requested, let supported):
      "a context of \(requested) tokens was asked for, the model was made for \(supported): lower --context"
    case .contextTooSparse(let requested, let limit):
      "a context of \(requested) tokens was asked for, sparse prefill reaches \(limit): lower --context, or leave out "
        + "--prefill sparse"
    case .memoryExceeded(let needed, let weights, let cache, let contextLength, let budget, let fitting):
      "the model needs \(TextFormat.bytes(needed)) (weights \(TextFormat.bytes(weights)), cache of \(contextLength) tokens "
        + "\(TextFormat.bytes(cache))), the memory budget is \(TextFormat.bytes(budget)): try "
        + (fitting.map { "--context \($0)" } ?? "--memory with a larger budget") + ", or a smaller file"
    case .cacheExceeded(let needed, let weights, let cache, let cacheTokens, let budget, let fitting):
      "the model needs \(TextFormat.bytes(needed)) (weights \(TextFormat.bytes(weights)), cache of \(cacheTokens) tokens "
        + "\(TextFormat.bytes(cache))), the memory budget is \(TextFormat.bytes(budget)): try --cache-tokens \(fitting)"
    case .encoderMemoryExceeded(let needed, let weights, let budget):
      "the encoder needs \(TextFormat.bytes(needed)) (weights \(TextFormat.bytes(weights))), the memory budget is "
        + "\(TextFormat.bytes(budget)): try --memory with a larger budget"
    case .adapterMissing(let name): "there is no adapter '\(name)': it has not been loaded, or is being unloaded"
    case .adapterExists(let name): "there is an adapter '\(name)' already: unload it first, or choose another name"
    case .adapterMemory(let name, let reason):
      "there is no memory for adapter '\(name)' (\(reason)): unload one, or raise --memory"
    case .adaptersFull(let limit):
      limit == 0
        ? "this server takes no adapters: start it with --adapter or --adapter-loading"
        : "all \(limit) places for adapters are taken: unload one, or raise --max-adapters"
    case .damagedLogits(let position):
      "the logits after token \(position) are not numbers: the model's weights or arithmetic are damaged; "
        + "check the file's digest, or run with --precision f32"
    }
  }
}
