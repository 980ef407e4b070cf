import AngelCore
import CAngelKernels

/// A two-dimensional convolution of images with channels last (conv2d.h; [why so](Documentation/Decisions/0131-convolutions.md)).
///
/// Several kernels and not one, so it states the parts of a `TensorOperation` itself.
package struct Convolution2D: Sendable {
  private let geometry: ConvolutionGeometry

  package init(_ geometry: ConvolutionGeometry) { self.geometry = geometry }

  /// x [N, H, W, C], `weight` [O, kernel height, kernel width, C / groups] and `bias` [O]: [N, H', W', O].
  ///
  /// Float32; activations in bfloat16 are widened and the result is rounded. Other dtypes run composed.
  package func callAsFunction(_ x: Tensor, _ weight: Tensor, bias: Tensor?) -> Tensor {
    let shape = shape(x.specification, weight.specification, bias?.specification)
    if x.dtype == .bfloat16 { return self(x.cast(to: .float32), weight, bias: bias).cast(to: .bfloat16) }
    guard let kernels = ConvolutionKernels(shape, x.dtype, weight.dtype, on: x.backend) else {
      return composed(x, weight, bias: bias)
    }
    let result = kernels.forward(x, weight, bias: bias?.detached)
    return result.recorded(from: [x, weight] + (bias.map { [$0] } ?? [])) { wanted in
      guard kernels.hasGradients else { return gradientOfComposed(x, weight, bias, wanted) }
      let (input, matrix) = (wanted[1] ? x.detached : nil, wanted[0] ? weight.detached : nil)
      return { gradient in
        let results = [
          matrix.map { kernels.inputGradient(gradient, $0) }, input.map { kernels.weightGradient(gradient, $0) },
        ]
        guard wanted.count > 2 else { return results }
        return results + [wanted[2] ? gradient.reshaped(-1, gradient.shape[3]).columnSums() : nil]
      }
    }
  }

  private func shape(
    _ x: TensorSpecification, _ weight: TensorSpecification, _ bias: TensorSpecification?
  ) -> angel_conv2d_shape {
    let groups = geometry.groups
    precondition(
      x.shape.rank == 4 && weight.shape.rank == 4 && x.shape[3] == weight.shape[3] * groups
        && weight.shape[0] % groups == 0 && weight.shape.elementCount > 0,
      "conv2d: images \(x) and weight \(weight) in \(groups) groups do not fit")
    precondition(
      bias == nil || bias?.shape == [weight.shape[0]],
      "conv2d: bias \(bias?.description ?? "") for \(weight.shape[0]) channels")
    let kernel = ConvolutionGeometry.Pair(y: weight.shape[1], x: weight.shape[2])
    let size = geometry.outputSize(height: x.shape[1], width: x.shape[2], kernel: kernel)
    return angel_conv2d_shape(
      batch: Int64(x.shape[0]), height: Int64(x.shape[1]), width: Int64(x.shape[2]), channels: Int64(x.shape[3]),
      out_height: Int64(size.y), out_width: Int64(size.x), out_channels: Int64(weight.shape[0]),
      kernel_height: Int64(kernel.y), kernel_width: Int64(kernel.x), stride_y: Int64(geometry.stride.y),
      stride_x: Int64(geometry.stride.x), padding_y: Int64(geometry.padding.y), padding_x: Int64(geometry.padding.x),
      dilation_y: Int64(geometry.dilation.y), dilation_x: Int64(geometry.dilation.x), groups: Int64(groups))
  }

  /// The sum over taps of a gather of what each reads, a zero outside the image, times the tap's matrix.
  package func composed(_ x: Tensor, _ weight: Tensor, bias: Tensor? = nil) -> Tensor {
    let shape = shape(x.specification, weight.specification, bias?.specification)
    let (groups, inner, outer) = (geometry.groups, weight.shape[3], weight.shape[0] / geometry.groups)
    let (kernelHeight, kernelWidth) = (weight.shape[1], weight.shape[2])
    let places = x.reshaped(-1, x.shape[3])
    // [taps, groups, outer, inner]
    let matrices = weight.reshaped(groups, outer, kernelHeight * kernelWidth, inner).permuted(2, 0, 1, 3)
    var sum: Tensor?
    for tap in 0..<kernelHeight * kernelWidth {
      let (indices, isInside) = reads(of: tap, shape, like: x)
      let read = (places.rows(indices) * isInside).reshaped(-1, groups, inner).permuted(1, 0, 2)
      let matrix = matrices.prefix(tap..<tap + 1).reshaped(groups, outer, inner)
      let term = read.matmul(matrix, transposingRight: true)  // [groups, places, outer]
      sum = sum.map { $0 + term } ?? term
    }
    let output = [x.shape[0], Int(shape.out_height), Int(shape.out_width), weight.shape[0]]
    guard let result = sum?.permuted(1, 0, 2).reshaped(output) else {
      preconditionFailure("conv2d: a kernel of no taps")
    }
    return bias.map { result + $0 } ?? result
  }

  /// For each output place the row of [N · H · W] that a tap reads, and [places, 1] with 1 where there is one, else 0.
  private func reads(of tap: Int, _ shape: angel_conv2d_shape, like x: Tensor) -> (Tensor, Tensor) {
    var (indices, isInside): ([Int32], [Double]) = ([], [])
    let (row, column) = (Int(tap) / Int(shape.kernel_width), Int(tap) % Int(shape.kernel_width))
    for image in 0..<Int(shape.batch) {
      for outY in 0..<Int(shape.out_height) {
        let y = outY * geometry.stride.y - geometry.padding.y + row * geometry.dilation.y
        for outX in 0..<Int(shape.out_width) {
          let x = outX * geometry.stride.x - geometry.padding.x + column * geometry.dilation.x
          let exists = y >= 0 && y < Int(shape.height) && x >= 0 && x < Int(shape.width)
          indices.append(exists ? Int32((image * Int(shape.height) + y) * Int(shape.width) + x) : 0)
          isInside.append(exists ? 1 : 0)
        }
      }
    }
    let mask = Tensor(isInside, shape: [isInside.count, 1], on: x.backend).cast(to: x.dtype)
    return (Tensor(indices, on: x.backend), mask)
  }

  private func gradientOfComposed(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ wanted: [Bool]
  ) -> BackwardFunction {
    let inputs = ([x, weight] + (bias.map { [$0] } ?? [])).map(\.detached)
    return { gradient in
      let leaves = zip(wanted, inputs).map { $0 ? $1.asLeaf() : $1 }
      let result = composed(leaves[0], leaves[1], bias: leaves.count > 2 ? leaves[2] : nil)
      let gradients = result.gradients(weightedBy: gradient)
      return zip(wanted, leaves).map { $0 ? gradients[$1] : nil }
    }
  }
}

extension Tensor {
  /// The convolution of these images [N, H, W, C] with `weight` [O, kernel height, kernel width, C / groups], plus
  /// `bias` [O]: [N, H', W', O].
  public func convolved(with weight: Tensor, bias: Tensor?, _ geometry: ConvolutionGeometry = .init()) -> Tensor {
    let isProduct = weight.shape.rank == 4 && weight.shape[1] == 1 && weight.shape[2] == 1
    guard isProduct, geometry == .init(), shape.rank == 4 else {
      return Convolution2D(geometry)(self, weight, bias: bias)
    }
    // A window of one place is a linear layer.
    let result = reshaped(-1, shape[3]).matmul(weight.reshaped(weight.shape[0], -1), bias: bias)
    return result.reshaped(shape[0], shape[1], shape[2], -1)
  }
}
