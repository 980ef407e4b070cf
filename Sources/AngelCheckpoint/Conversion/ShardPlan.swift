/// How tensors are shared out among the files of a model, or among passes over something.
package enum ShardPlan {
  /// Tensors in their order, as many together as fit, one at least; one empty range where there are none.
  package static func ranges(of sizes: [Int], limit: Int) -> [Range<Int>] {
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
