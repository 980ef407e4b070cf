import AngelCore
import AngelMemory
import CAngelKernels

/// The kernels of one convolution (conv2d.h): operands are arranged for a product and live no longer than it.
struct ConvolutionKernels: Sendable {
  private let shape: angel_conv2d_shape
  private let backend: any Backend

  /// Nil where the backend lacks the kernels, or for other dtypes.
  init?(_ shape: angel_conv2d_shape, _ input: DType, _ weight: DType, on backend: any Backend) {
    guard input == .float32, weight == .float32 || weight == .bfloat16 else { return nil }
    guard backend.kernel(ANGEL_FAMILY_conv2d, KernelDTypes(.float32)) != nil else { return nil }
    self.shape = shape
    self.backend = backend
  }

  var hasGradients: Bool {
    [ANGEL_FAMILY_conv2d_input_backward, ANGEL_FAMILY_conv2d_weight_backward].allSatisfy {
      backend.kernel($0, KernelDTypes(.float32)) != nil
    }
  }

  private var inputShape: Shape { [Int(shape.batch), Int(shape.height), Int(shape.width), Int(shape.channels)] }
  private var outputShape: Shape {
    [Int(shape.batch), Int(shape.out_height), Int(shape.out_width), Int(shape.out_channels)]
  }
  private var taps: Int { Int(shape.kernel_height * shape.kernel_width) }
  /// Channels of a group, in and out.
  private var inner: Int { Int(shape.channels / shape.groups) }
  private var outer: Int { Int(shape.out_channels / shape.groups) }
  private var multiplyAdds: Int { outputShape.elementCount * taps * inner }

  func forward(_ x: Tensor, _ weight: Tensor, bias: Tensor?) -> Tensor {
    let panels = panels(of: weight, transposed: false)
    let output = Tensor(uninitialized: TensorSpecification(outputShape, .float32), on: backend)
    let arguments = angel_conv2d_arguments(
      input: x.floats, panels: panels.floats, bias: bias?.floats, output: output.mutableFloats, shape: shape)
    backend.launch(ANGEL_FAMILY_conv2d, KernelDTypes(.float32), arguments, work(x, output), keeping: x, panels, bias)
    return output
  }

  /// From the gradient of the result to that of the images.
  func inputGradient(_ gradient: Tensor, _ weight: Tensor) -> Tensor {
    let panels = panels(of: weight, transposed: true)
    let output = Tensor(uninitialized: TensorSpecification(inputShape, .float32), on: backend)
    let arguments = angel_conv2d_arguments(
      input: gradient.floats, panels: panels.floats, bias: nil, output: output.mutableFloats, shape: shape)
    backend.launch(
      ANGEL_FAMILY_conv2d_input_backward, KernelDTypes(.float32), arguments, work(gradient, output), keeping: gradient,
      panels)
    return output
  }

  /// From the gradient of the result and the images to the gradient of the weight, in float32.
  func weightGradient(_ gradient: Tensor, _ x: Tensor) -> Tensor {
    let lines = withUnsafePointer(to: shape) { Int(shape.batch * shape.out_channels * angel_conv2d_line($0)) }
    let plane = withUnsafePointer(to: shape) {
      Int(shape.stride_y * shape.stride_x * angel_conv2d_plane_height($0) * angel_conv2d_plane_width($0))
    }
    let planes = Int(shape.batch * shape.groups) * ((inner + 15) / 16) * 16 * plane
    let (left, right) = (
      arranged(gradient, ANGEL_FAMILY_conv2d_lines, count: lines),
      arranged(x, ANGEL_FAMILY_conv2d_planes, count: planes)
    )
    let specification = TensorSpecification(
      [Int(shape.out_channels), Int(shape.kernel_height), Int(shape.kernel_width), inner], .float32)
    let output = Tensor(uninitialized: specification, on: backend, kind: .gradients)
    let arguments = angel_conv2d_weight_backward_arguments(
      lines: left.floats, planes: right.floats, output: output.mutableFloats, shape: shape)
    backend.launch(
      ANGEL_FAMILY_conv2d_weight_backward, KernelDTypes(.float32), arguments, work(left, right), keeping: left, right)
    return output
  }

  private func panels(of weight: Tensor, transposed: Bool) -> Tensor {
    let (columns, depth) = transposed ? (inner, outer) : (outer, inner)
    let count = Int(shape.groups) * taps * ((columns + 15) / 16 * 16) * depth
    let target = Tensor(uninitialized: TensorSpecification([count], .float32), on: backend, kind: .workspace)
    let arguments = angel_conv2d_panels_arguments(
      weight: UnsafeRawPointer(weight.address), panels: target.mutableFloats, shape: shape,
      dtype: angel_dtype(weight.dtype.rawValue), transposed: transposed ? 1 : 0)
    backend.launch(
      ANGEL_FAMILY_conv2d_panels, KernelDTypes(weight.dtype), arguments,
      Work(bytes: 2 * target.specification.byteCount), keeping: weight)
    return target
  }

  private func arranged(_ source: Tensor, _ family: angel_family, count: Int) -> Tensor {
    let target = Tensor(uninitialized: TensorSpecification([count], .float32), on: backend, kind: .workspace)
    let arguments = angel_conv2d_arrange_arguments(source: source.floats, target: target.mutableFloats, shape: shape)
    backend.launch(
      family, KernelDTypes(.float32), arguments, Work(bytes: 2 * target.specification.byteCount), keeping: source)
    return target
  }

  private func work(_ inputs: Tensor...) -> Work {
    Work(bytes: inputs.reduce(0) { $0 + $1.specification.byteCount }, multiplyAdds: multiplyAdds)
  }
}
