import CAngelKernels

/// How far apart the windows of a convolution are, how far apart what they read is, and what is around the image.
public struct ConvolutionGeometry: Hashable, Sendable {
  /// A number along the height and one along the width.
  public struct Pair: Hashable, Sendable, ExpressibleByIntegerLiteral {
    public var y: Int
    public var x: Int

    public init(y: Int, x: Int) { (self.y, self.x) = (y, x) }
    public init(_ both: Int) { self.init(y: both, x: both) }
    public init(integerLiteral value: Int) { self.init(value) }
  }

  public var stride: Pair
  /// Zeros on either side.
  public var padding: Pair
  public var dilation: Pair
  /// Input and output channels in as many groups that do not see each other.
  public var groups: Int

  public init(stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: Int = 1) {
    precondition(
      stride.y > 0 && stride.x > 0 && dilation.y > 0 && dilation.x > 0 && padding.y >= 0 && padding.x >= 0
        && groups > 0,
      "convolution: stride \(stride), padding \(padding), dilation \(dilation), \(groups) groups")
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  /// The height and width of outputs; traps when the image is smaller than a window.
  func outputSize(height: Int, width: Int, kernel: Pair) -> Pair {
    func size(_ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int) -> Int {
      let free = size + 2 * padding - dilation * (kernel - 1) - 1
      precondition(free >= 0, "convolution: a window of \(kernel) (dilation \(dilation)) in \(size) + 2 * \(padding)")
      return free / stride + 1
    }
    return Pair(
      y: size(height, kernel.y, stride.y, padding.y, dilation.y),
      x: size(width, kernel.x, stride.x, padding.x, dilation.x))
  }
}
