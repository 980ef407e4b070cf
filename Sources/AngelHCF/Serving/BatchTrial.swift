public import AngelMemory
public import AngelModels
public import AngelTensor
import Synchronization

/// Runs many requests at once on the caller's thread, without text: to measure what the serving engine does.
public final class BatchTrial {
  private let loop: ServingLoop
  private let vocabularySize: Int
  private var nextID: UInt64 = 1
  private var adapters: [PlacedAdapter] = []
  /// Asked between steps; true ends the work.
  public var isInterrupted: () -> Bool = { false }

  /// A trial over a loaded model whose cache comes from `pool`.
  public init(_ model: any LanguageModel, on backend: any Backend, pool: PagePool, options: ServingOptions) throws {
    loop = try ServingLoop(model, tokenizer: nil, endTokens: [], on: backend, pool: pool, options: options)
    vocabularySize = model.configuration.vocabularySize
  }

  /// Puts adapters of random numbers beside every layer; `options.adapterLimit` must allow them. Prompts then have them in
  /// turn.
  public func addRandomAdapters(_ count: Int, rank: Int) throws {
    for number in 0..<count {
      guard let added = try loop.adapters?.addRandom(rank: rank, seed: UInt64(number), dtype: .bfloat16) else { return }
      if added.outdates { loop.runner.forgetRecorded() }
      adapters.append(added.adapter)
    }
  }

  /// Answers all prompts, which come at once, with `answerLength` greedy tokens each; the tokens of each answer.
  ///
  /// - Throws: what any of the requests failed with; when interrupted, answers are cut short.
  public func answers(to prompts: [[Int32]], answerLength: Int) throws -> [[Int32]] {
    var sampling = SamplingParameters.greedy
    sampling.maxTokens = answerLength
    let outcome = Mutex((answers: [[Int32]](repeating: [], count: prompts.count), failure: (any Error)?.none))
    for (index, prompt) in prompts.enumerated() {
      let sampler = try Sampler(parameters: sampling, promptTokens: [], vocabularySize: vocabularySize)
      let content = ServedRequest.Content.answers(ServingRequest(prompt: prompt, sampling: sampling), seed: 0) {
        event in
        switch event {
        case .piece(let piece): outcome.withLock { $0.answers[index] += piece.tokens.map { Int32($0.token) } }
        case .failed(let error): outcome.withLock { $0.failure = error }
        case .prompt, .finished, .done: break
        }
      }
      loop.submit(
        Submission(
          id: nextID, prompt: prompt, queuedTokens: 0, begin: .now, content: content, sampler: sampler,
          adapter: adapters.isEmpty ? nil : adapters[index % adapters.count]))
      nextID += 1
    }
    while !loop.isIdle {
      if isInterrupted() { loop.cancelAll() } else { loop.runStep() }
    }
    return try outcome.withLock { outcome in
      if let failure = outcome.failure { throw failure }
      return outcome.answers
    }
  }

  /// The engine's figures so far.
  public var statistics: ServingStatistics { loop.currentStatistics }
}
