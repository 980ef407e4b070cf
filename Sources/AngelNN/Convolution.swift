import AngelCore
public import AngelTensor

/// A two-dimensional convolution of images with channels last.
///
/// The weight is [outputs, height, width, inputs / groups], channels last as the images are; files of other frameworks have
/// it as [outputs, inputs / groups, height, width].
public struct Convolution: Module {
  /// [outputs, kernel height, kernel width, inputs / groups], held in float32.
  public var weight: Parameter
  /// [outputs]
  public var bias: Parameter?
  public let geometry: ConvolutionGeometry

  public init(
    _ inputs: Int, _ outputs: Int, kernel: ConvolutionGeometry.Pair, _ geometry: ConvolutionGeometry = .init(),
    usesBias: Bool = true
  ) {
    weight = Parameter([outputs, kernel.y, kernel.x, inputs / geometry.groups], .vector)
    bias = usesBias ? Parameter([outputs], .vector) : nil
    self.geometry = geometry
  }

  /// [N, H, W, inputs] → [N, H', W', outputs]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    x.convolved(with: weight.vector, bias: bias?.vector, geometry)
  }

  public mutating func visitChildren(_ visitor: inout some ParameterVisitor) {
    visitor.visit("weight", &weight)
    visitor.visit("bias", &bias)
  }
}
