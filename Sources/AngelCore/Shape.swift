/// The sizes of a tensor's axes, outermost first; at most eight axes, no heap allocation.
public struct Shape: Hashable, Sendable {
  private var sizes: SIMD8<Int>
  /// The number of axes.
  public private(set) var rank: Int

  /// A shape with the given axis sizes; traps above eight axes or on a negative size.
  public init(_ sizes: some Collection<Int>) {
    precondition(sizes.count <= 8, "a shape has at most 8 axes, not \(sizes.count)")
    self.sizes = SIMD8(repeating: 1)
    self.rank = sizes.count
    for (axis, size) in sizes.enumerated() {
      precondition(size >= 0, "axis \(axis) has negative size \(size)")
      self.sizes[axis] = size
    }
  }

  /// The product of all sizes; 1 for a scalar.
  public var elementCount: Int {
    var product = 1
    for axis in 0..<rank { product *= sizes[axis] }
    return product
  }

  /// The sizes as an array.
  public var array: [Int] { (0..<rank).map { sizes[$0] } }

  /// The size of `axis`; negative axes count from the end.
  public subscript(axis: Int) -> Int {
    get { sizes[normalized(axis)] }
    set { sizes[normalized(axis)] = newValue }
  }

  /// `axis` with negative values counted from the end; traps when out of range.
  public func normalized(_ axis: Int) -> Int {
    let result = axis < 0 ? axis + rank : axis
    precondition(result >= 0 && result < rank, "axis \(axis) of a shape with \(rank) axes: \(self)")
    return result
  }
}

extension Shape: ExpressibleByArrayLiteral, CustomStringConvertible {
  public init(arrayLiteral elements: Int...) { self.init(elements) }
  public var description: String { "[" + array.map(String.init).joined(separator: ", ") + "]" }
}
