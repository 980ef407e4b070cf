/// Prompts that attend, from a position on, only to the blocks of 16 tokens in which they may find most.
///
/// Each token chooses by its own queries, its position and the keys before it, in layers that have no window
/// (`BlockChoice`), so that what it gives is the same in every chunk and batch. Answers see everything. What prompts leave
/// in the cache depends on this; the setting is an engine's, for all of its sequences.
public struct SparsePrefill: Hashable, Sendable {
  /// How much of what a token may find the blocks it keeps have together, above 0; 1: it keeps all.
  public var share: Float
  /// Tokens before this position see everything: there, choosing takes longer than it saves.
  public var firstPosition: Int

  public init(share: Float = 0.98, firstPosition: Int = 2048) {
    precondition(share > 0 && share <= 1, "a share of \(share)")
    self.share = share
    self.firstPosition = firstPosition
  }

  /// Those of a slice's positions whose tokens choose.
  func positions(of slice: SequenceSlice) -> Range<Int> {
    let first = max(firstPosition, slice.start)
    return first..<max(first, min(slice.end, slice.promptEnd))
  }
}
