import AngelNN
import AngelTensor

/// Guesses at the next tokens of answers, where a step of nothing else comes next (`Speculation`): what is drawn is the same.
extension ServingLoop {
  /// Makes guesses for the next step, where they are expected to pay.
  func guess() {
    for sequence in running { sequence.guesses = [] }
    guard settings.guessing != .off, mayGuess else { return }
    var (sequences, candidates): ([ServedSequence], [SpeculationDepth.Candidate]) = ([], [])
    for sequence in running {
      guard let rank = sequence.answer?.lookup.rank(after: sequence.tokens) else { continue }
      let limit = guessLimit(of: sequence)
      guard limit > 0 else { continue }
      sequences.append(sequence)
      candidates.append(SpeculationDepth.Candidate(rank: rank, limit: limit))
    }
    guard !candidates.isEmpty else { return }
    let counts =
      if case .always(let count) = settings.guessing {
        candidates.map { min(count, $0.limit) }
      } else {
        depth.counts(for: candidates, beside: running.count - candidates.count, rows: settings.limits.rows)
      }
    for (index, sequence) in sequences.enumerated() where counts[index] > 0 {
      sequence.guesses = sequence.answer?.lookup.guesses(after: sequence.tokens, count: counts[index]) ?? []
      sequence.guessRank = candidates[index].rank
    }
  }

  /// Only steps that decode every sequence, and take no room that others need, have guesses: beside prompts, rows are dear. A
  /// prompt's last token is the prompt's too, for other answers to it begin there.
  private var mayGuess: Bool {
    waiting.isEmpty && (1...SpeculationDepth.sequenceLimit).contains(running.count)
      && running.allSatisfy {
        $0.answer != nil && $0.tokens.count > $0.promptCount && $0.tokens.count - $0.cachedCount == 1
      }
      // Guesses take a stretch of 16 tokens more at most.
      && availableCount >= 2 * running.count * settings.limits.windows.spanBlocks
  }

  /// The most guesses after a sequence's tokens: what its answer and the context have room for, and all in one rotary class.
  private func guessLimit(of sequence: ServedSequence) -> Int {
    let end = min(settings.contextLength, settings.rotaryScaling.uniformLength)
    return min((sequence.answer?.text.room ?? 0) - 1, end - sequence.tokens.count)
  }

  /// Learns from a step that only decoded.
  func learn(from parts: [Part], seconds: Double) {
    guard settings.guessing != .off, parts.allSatisfy(\.onlyDecodes) else { return }
    depth.note(rows: parts.reduce(0) { $0 + $1.count }, seconds: seconds)
  }

  /// Learns what became of a sequence's guesses.
  func learn(guesses: Int, right: Int, rank: Int) {
    statistics.guessedTokens += guesses
    statistics.acceptedTokens += right
    depth.note(rank: rank, guessed: guesses, right: right)
  }
}
