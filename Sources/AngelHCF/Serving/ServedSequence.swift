import AngelMemory
import AngelTensor

/// One answer to a request in the making, or a prompt whose hidden state is wanted: its tokens, its blocks, its sampler.
final class ServedSequence {
  let id: SequenceID
  let request: ServedRequest
  let promptCount: Int
  /// Prompt and answer.
  private(set) var tokens: [Int32]
  /// How many of them are in the cache.
  var cachedCount = 0
  /// Blocks of its tokens in order, but for the first `droppedCount`, which no layer sees any more.
  var blocks: [BlockIndex] = []
  private(set) var droppedCount = 0
  /// Of the blocks, how many are in the prefix tree, and where the last of them is; nil place: no more are to be entered.
  var sharedCount = 0
  var lastPlace: PrefixTree.NodeID? = PrefixTree.root
  /// The step since which it waits, and steps waited before.
  var waitingSince = 0
  var waitedSteps = 0
  var lastStep = 0
  /// Nil where a hidden state is wanted.
  var answer: Answer?

  /// What makes an answer of a sequence.
  struct Answer {
    var sampler: Sampler
    var text: AnswerText
  }

  init(_ id: SequenceID, _ request: ServedRequest, prompt: [Int32], answer: Answer?) {
    self.id = id
    self.request = request
    tokens = prompt
    promptCount = prompt.count
    self.answer = answer
  }

  func append(_ token: Int32) { tokens.append(token) }

  /// Whether the last known token has run, so that the next can be drawn.
  var isComplete: Bool { cachedCount == tokens.count }

  /// Blocks of all its tokens, those that were dropped included.
  var blockCount: Int { droppedCount + blocks.count }

  /// Forgets and returns the blocks before the first `count`.
  func dropBlocks(before count: Int) -> [BlockIndex] {
    guard count > droppedCount else { return [] }
    defer {
      blocks.removeFirst(count - droppedCount)
      droppedCount = count
    }
    return Array(blocks.prefix(count - droppedCount))
  }

  /// Forgets its place in the cache.
  func loseBlocks() {
    blocks = []
    droppedCount = 0
    cachedCount = 0
    sharedCount = 0
    lastPlace = PrefixTree.root
  }
}
