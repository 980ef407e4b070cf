import AngelCore
import AngelNN
import CAngelKernels

/// Which process owns what of each parameter: ranges of its outermost axis, one a process, in the order of the ranks.
///
/// Shares begin at blocks of which squares are summed (square_sum.h), so the norm of all shares has the bits of the norm of
/// the whole. What is smaller than a block, and what its optimizer has to see whole, goes to the process that has least.
struct ShareMap {
  /// For each parameter the bounds of the shares in entries of its outermost axis, one more than processes.
  let entries: [[Int]]
  let shapes: [Shape]

  /// - Parameter isDivisible: whether the optimizer changes every value by itself.
  init(
    _ parameters: [(path: String, parameter: Parameter)], over count: Int,
    isDivisible: (_ parameter: Parameter, _ path: String) -> Bool
  ) {
    shapes = parameters.map(\.parameter.shape)
    var loads = [Int](repeating: 0, count: count)
    entries = parameters.map { path, parameter in
      let bounds =
        isDivisible(parameter, path)
        ? Self.divided(parameter.shape, over: count, loads)
        : Self.whole(parameter.shape, owner: Self.least(loads), count)
      let width = parameter.shape.elementCount / max(1, parameter.shape[0])
      for rank in 0..<count { loads[rank] += (bounds[rank + 1] - bounds[rank]) * width }
      return bounds
    }
  }

  static let block = Int(ANGEL_SQUARE_BLOCK)

  private static func least(_ loads: [Int]) -> Int { loads.indices.min { loads[$0] < loads[$1] } ?? 0 }

  private static func whole(_ shape: Shape, owner: Int, _ count: Int) -> [Int] {
    (0...count).map { $0 <= owner ? 0 : shape[0] }
  }

  private static func divided(_ shape: Shape, over count: Int, _ loads: [Int]) -> [Int] {
    let width = max(1, shape.elementCount / max(1, shape[0]))
    // The fewest entries that are whole blocks.
    let step = block / block.greatestCommonDivisor(with: width)
    let blocks = shape[0] / step
    guard blocks > 0 else { return whole(shape, owner: least(loads), count) }
    return (0...count).map { $0 == count ? shape[0] : blocks * $0 / count * step }
  }

  /// The bounds of the shares of a parameter, in values.
  func values(_ index: Int) -> [Int] {
    let width = shapes[index].elementCount / max(1, shapes[index][0])
    return entries[index].map { $0 * width }
  }

  /// The blocks of squares in a process's share of a parameter.
  func blockCount(_ index: Int, of rank: Int) -> Int {
    let bounds = values(index)
    return (bounds[rank + 1] - bounds[rank] + Self.block - 1) / Self.block
  }

  /// The range of a parameter's outermost axis that a process owns.
  func range(_ index: Int, of rank: Int) -> Range<Int> { entries[index][rank]..<entries[index][rank + 1] }
}
