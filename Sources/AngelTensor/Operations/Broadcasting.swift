package import AngelCore

extension Shape {
  /// The shape both broadcast to, axes aligned at the end, or nil when sizes differ and neither is 1.
  package func broadcast(with other: Shape) -> Shape? {
    let rank = Swift.max(self.rank, other.rank)
    var sizes = [Int](repeating: 1, count: rank)
    for offset in 1...Swift.max(rank, 1) where rank > 0 {
      let left = offset <= self.rank ? self[-offset] : 1
      let right = offset <= other.rank ? other[-offset] : 1
      guard left == right || left == 1 || right == 1 else { return nil }
      sizes[rank - offset] = left == 1 ? right : left
    }
    return Shape(sizes)
  }

  /// Writes the sizes, aligned at the end of eight, ones before.
  func fillSizes(_ target: UnsafeMutableBufferPointer<Int64>) {
    target.update(repeating: 1)
    for axis in 0..<rank { target[target.count - rank + axis] = Int64(self[axis]) }
  }

  /// Writes contiguous strides in elements, aligned at the end of eight; 0 where a size of 1 is broadcast.
  func fillStrides(_ target: UnsafeMutableBufferPointer<Int64>, broadcastTo output: Shape) {
    target.update(repeating: 0)
    var stride = 1
    for offset in 1...Swift.max(rank, 1) where rank > 0 {
      let size = self[-offset]
      if size != 1 { target[target.count - offset] = Int64(stride) }
      stride *= size
    }
  }
}

/// The eight-entry C array of an argument struct, which Swift imports as a tuple, as a buffer.
func withEightAxes<Tuple>(_ tuple: inout Tuple, _ body: (UnsafeMutableBufferPointer<Int64>) -> Void) {
  withUnsafeMutableBytes(of: &tuple) { body($0.bindMemory(to: Int64.self)) }
}
