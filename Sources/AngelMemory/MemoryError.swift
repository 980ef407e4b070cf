public import AngelCore

/// Why memory could not be had, or what is wrong with it.
public enum MemoryError: DescribedError, Equatable {
  /// The budget has no room for a request; all values in bytes.
  case exhausted(requested: Int, kind: MemoryKind, free: Int, largestFree: Int, budget: Int)
  /// Every block of a block pool is in use.
  case blocksExhausted(limit: Int, blockByteCount: Int)
  /// The kernel refused to reserve or supply memory.
  case refused(call: String, byteCount: Int, code: Int32)
  /// A planned set of allocations exceeds its budget.
  case overBudget(planned: Int, budget: Int, largest: String, largestByteCount: Int)
  /// A size in a configuration or argument that cannot be read.
  case unreadableSize(String)
  /// The budget is smaller than one page or beyond what can be addressed.
  case invalidBudget(Int)
  /// A structure contradicts itself: a defect in Angel.
  case invariant(String)

  public var description: String {
    switch self {
    case .exhausted(let requested, let kind, let free, let largestFree, let budget):
      let fragmented =
        requested <= free ? " (the largest piece is \(TextFormat.bytes(largestFree)))" : ""
      return "\(TextFormat.bytes(requested)) of \(kind) wanted, \(TextFormat.bytes(free)) of "
        + "\(TextFormat.bytes(budget)) free\(fragmented): lower the batch, context or number of sequences, "
        + "or raise the memory budget"
    case .blocksExhausted(let limit, let blockByteCount):
      return "all \(limit) blocks of \(TextFormat.bytes(blockByteCount)) are in use: "
        + "lower the number of sequences or their length, or raise the cache budget"
    case .refused(let call, let byteCount, let code):
      return "\(call) of \(TextFormat.bytes(byteCount)) failed (errno \(code)): "
        + "lower the memory budget, or raise the limits of this process (ulimit -v, container memory)"
    case .overBudget(let planned, let budget, let largest, let largestByteCount):
      return "the plan needs \(TextFormat.bytes(planned)) and the budget is \(TextFormat.bytes(budget)); "
        + "\(largest) take \(TextFormat.bytes(largestByteCount)): lower them or raise the memory budget"
    case .unreadableSize(let text):
      return "'\(text)' is not a size in memory: write a number with B, KiB, MiB, GiB or TiB, such as 12GiB"
    case .invalidBudget(let budget):
      return "a memory budget of \(budget) bytes is not between one page (\(TextFormat.bytes(Page.byteCount))) and "
        + "\(TextFormat.bytes(HostArena.largestBudget)): give another budget"
    case .invariant(let what):
      return "memory bookkeeping is inconsistent: \(what); this is a defect in Angel, please report it"
    }
  }
}
