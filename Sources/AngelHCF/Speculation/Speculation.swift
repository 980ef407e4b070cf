public import AngelCore

/// Guesses at how an answer goes on, verified several at a time in one step of the model (arXiv:2211.17192): weights are read
/// once for all of them.
///
/// A guess is kept where it is the very token that the sampler draws from the model's own logits, with the random number of
/// that step. By the kernel contract these logits are the same bits as without guesses; so is the answer, greedy or drawn.
/// Only how soon it comes depends on the guesses.
public struct Speculation {
  /// Where guesses come from.
  public enum Source {
    /// What followed when the text's last tokens occurred before (prompt lookup; arXiv:2304.04487).
    case lookup
    /// A smaller model of the same vocabulary, at least as long a context, and a pool of its own or room in the other's.
    case model(InferenceEngine)
    /// The model itself without these layers (arXiv:2309.08168).
    case layers(skipped: Range<Int>)
  }

  public var source: Source
  /// The number of guesses at every step; nil: as many as pay, by what steps have cost and how often guesses were right.
  public var depth: Int?

  public init(_ source: Source, depth: Int? = nil) {
    self.source = source
    self.depth = depth
  }
}

/// What came of the guesses for an answer.
public struct SpeculationFigures: Equatable, Sendable {
  /// Tokens guessed, and those of them that the answer has.
  public var guessed = 0
  public var accepted = 0
  /// Steps of the model after the prompt's.
  public var steps = 0
}

/// Why guesses cannot be made as asked for.
public enum SpeculationError: DescribedError, Equatable {
  /// A model that is to guess for another has a vocabulary of another size.
  case otherVocabulary(guessing: Int, vocabularySize: Int)
  /// Layers to be left out that the model does not have, or all of them.
  case noSuchLayers(Range<Int>, layerCount: Int)

  public var description: String {
    switch self {
    case .otherVocabulary(let guessing, let size):
      "the guessing model has \(guessing) tokens, the model \(size): it must be one of the same family and vocabulary"
    case .noSuchLayers(let layers, let count):
      "layers \(layers.lowerBound)-\(layers.upperBound - 1) cannot be left out of a model of \(count) layers: "
        + "name some of 0-\(count - 1), not all"
    }
  }
}

/// Makes guesses.
protocol Guesser {
  /// Takes in a text, so that guesses after it cost what guesses cost.
  mutating func take(_ tokens: [Int32]) throws
  /// How much guesses after `tokens` would be worth; nil: there are none.
  mutating func rank(after tokens: [Int32]) -> Int?
  /// At most `count` guesses at what follows `tokens`, as `sampler` would draw from its `step` on.
  mutating func guesses(after tokens: [Int32], count: Int, sampler: Sampler, step: Int) throws -> [Int32]
}

extension Guesser {
  func take(_ tokens: [Int32]) {}
}
