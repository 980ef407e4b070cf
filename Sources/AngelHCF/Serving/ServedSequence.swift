import AngelGrammar
import AngelMemory
import AngelTensor

/// One answer to a request in the making, or a prompt whose hidden state is wanted: its tokens, its blocks, its
/// sampler.
final class ServedSequence {
  let id: SequenceID
  let request: ServedRequest
  let promptCount: Int
  /// Prompt and answer.
  private(set) var tokens: [Int32]
  /// How many of them are in the cache.
  var cachedCount = 0
  /// The blocks of its tokens, and how many it may hold: those that it does not are set aside for it.
  var blocks = SequenceBlocks()
  var grantedCount = 0
  /// How many stretches of 16 tokens are in the prefix tree, and where the last is; nil place: no more are to be
  /// entered.
  var sharedCount = 0
  var lastPlace: PrefixTree.NodeID?
  /// The step since which it waits, nil with a place in the cache; and steps waited before.
  private var waitingSince: Int?
  private var waitedSteps = 0
  var lastStep = 0
  /// What the tokens after these may be: run with them in the next step, and kept as far as it is what is drawn.
  var guesses: [Int32] = []
  var guessRank = 0
  /// Nil where a hidden state is wanted.
  var answer: Answer?

  /// What makes an answer of a sequence.
  struct Answer {
    var sampler: Sampler
    var text: AnswerText
    /// Nil where the answer may be anything.
    var matcher: TokenMatcher?
    var lookup = LookupGuesser()
  }

  init(_ id: SequenceID, _ request: ServedRequest, prompt: [Int32], answer: Answer?) {
    self.id = id
    self.request = request
    tokens = prompt
    promptCount = prompt.count
    lastPlace = request.root
    self.answer = answer
  }

  func append(_ token: Int32) { tokens.append(token) }

  /// Whether the last known token has run, so that the next can be drawn.
  var isComplete: Bool { cachedCount == tokens.count }

  /// Tokens to have in the cache after the next step, guesses included.
  var wantedCount: Int { tokens.count + guesses.count }

  /// Blocks set aside for it.
  var outstandingCount: Int { max(0, grantedCount - blocks.heldCount) }

  func beginWaiting(at step: Int) { waitingSince = step }

  func endWaiting(at step: Int) {
    waitedSteps = waitedSteps(at: step)
    waitingSince = nil
  }

  /// Steps spent without a place in the cache.
  func waitedSteps(at step: Int) -> Int { waitedSteps + (waitingSince.map { step - $0 } ?? 0) }

  /// Sorts sequences so that those with one adapter come one after the other, and among them those with a common beginning.
  static func < (a: ServedSequence, b: ServedSequence) -> Bool {
    let (first, second) = (a.request.adapter?.number ?? -1, b.request.adapter?.number ?? -1)
    return first == second ? a.blocks < b.blocks : first < second
  }

  /// Forgets its place in the cache.
  func loseBlocks() {
    blocks = SequenceBlocks()
    grantedCount = 0
    cachedCount = 0
    sharedCount = 0
    lastPlace = request.root
    guesses = []
  }
}
