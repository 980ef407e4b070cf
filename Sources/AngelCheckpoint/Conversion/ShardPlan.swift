/// How tensors are shared out among the files of a model.
enum ShardPlan {
  /// Tensors in their order, as many to a file as fit it, one at least; one empty range where there are none.
  static func ranges(of sizes: [Int], limit: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var (start, bytes) = (0, 0)
    for (index, size) in sizes.enumerated() {
      if index > start, bytes + size > limit {
        ranges.append(start..<index)
        (start, bytes) = (index, 0)
      }
      bytes += size
    }
    return ranges + [start..<sizes.count]
  }
}
