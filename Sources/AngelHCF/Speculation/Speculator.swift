/// The guesses for one answer.
struct Speculator {
  private var guesser: any Guesser
  private var depth: SpeculationDepth
  private let fixedDepth: Int?
  private let engine: InferenceEngine
  private let sequence: CachedSequence
  private var latestRank = 0
  private(set) var figures = SpeculationFigures()

  init(_ speculation: Speculation, _ engine: InferenceEngine, _ sequence: CachedSequence) throws(SpeculationError) {
    self.engine = engine
    self.sequence = sequence
    fixedDepth = speculation.depth.map { min(max(0, $0), SpeculationDepth.limit) }
    switch speculation.source {
    case .lookup:
      guesser = LookupGuesser()
      depth = LookupGuesser.depth
    case .model(let other):
      guard other.vocabularySize == engine.vocabularySize else {
        throw .otherVocabulary(guessing: other.vocabularySize, vocabularySize: engine.vocabularySize)
      }
      guesser = ModelGuesser(other)
      depth = SpeculationDepth(probabilities: [0.7])
    case .layers(let skipped):
      let count = engine.model.configuration.cacheGeometry.layerCount
      guard skipped.lowerBound >= 0, skipped.upperBound <= count, skipped.count < count, !skipped.isEmpty else {
        throw .noSuchLayers(skipped, layerCount: count)
      }
      guesser = LayerGuesser(engine: engine, sequence: sequence, skipped: skipped)
      depth = SpeculationDepth(probabilities: [0.7])
    }
  }

  /// Guesses at what follows `tokens`, at most `room` of them.
  mutating func guesses(after tokens: [Int32], room: Int, sampler: Sampler, step: Int) throws -> [Int32] {
    var limit = min(room, SpeculationDepth.limit)
    while limit > 0, !engine.canDecode(limit + 1, in: sequence) { limit -= 1 }
    guard limit > 0, let rank = guesser.rank(after: tokens) else { return [] }
    let candidate = SpeculationDepth.Candidate(rank: rank, limit: limit)
    let count = fixedDepth.map { min($0, limit) } ?? depth.counts(for: [candidate])[0]
    guard count > 0 else { return [] }
    try guesser.take(tokens)
    let clock = ContinuousClock()
    let begin = clock.now
    let guesses = try guesser.guesses(after: tokens, count: count, sampler: sampler, step: step)
    depth.note(guessSeconds: (clock.now - begin).seconds / Double(max(1, guesses.count)))
    latestRank = rank
    return guesses
  }

  /// Learns from a step of the model that verified `guessed` guesses, the first `right` of which were right.
  mutating func note(guessed: Int, right: Int, seconds: Double) {
    figures.steps += 1
    figures.guessed += guessed
    figures.accepted += right
    depth.note(rows: guessed + 1, seconds: seconds)
    depth.note(rank: latestRank, guessed: guessed, right: right)
  }
}
