import AngelCore
import AngelTensor
import CAngelKernels

/// The kernels of diffusion models: convolutions and their gradients, which arithmetic bounds, group norm and resampling,
/// which memory does.
extension BenchKernelMaker {
  func imageKernels(quick: Bool) -> [BenchKernelCase] {
    let sizes = quick ? [(64, 32)] : [(64, 32), (64, 64), (128, 32), (128, 64), (256, 32), (256, 64)]
    return sizes.flatMap { channels, side in
      let shape = convolution(channels, side)
      return [
        convolved(shape, ANGEL_FAMILY_conv2d), convolved(shape, ANGEL_FAMILY_conv2d_input_backward), weighted(shape),
        normalized(shape), upsampled(shape),
      ].compactMap(\.self)
    }
  }

  /// 3x3, one image.
  private func convolution(_ channels: Int, _ side: Int) -> angel_conv2d_shape {
    let (channels, side) = (Int64(channels), Int64(side))
    return angel_conv2d_shape(
      batch: 1, height: side, width: side, channels: channels, out_height: side, out_width: side,
      out_channels: channels, kernel_height: 3, kernel_width: 3, stride_y: 1, stride_x: 1, padding_y: 1, padding_x: 1,
      dilation_y: 1, dilation_x: 1, groups: 1)
  }

  private func imageCase(
    _ kernel: String, _ s: angel_conv2d_shape, bytes: Int, operations: Int? = nil, _ run: (() -> Void)?
  ) -> BenchKernelCase? {
    run.map {
      BenchKernelCase(
        kernel: kernel, dtype: DType.float32.name, model: "image", shape: "\(s.height) x \(s.width) x \(s.channels)",
        bytes: bytes, arithmetic: operations.map { ($0, .float32) }, run: $0)
    }
  }

  private func sizes(_ s: angel_conv2d_shape) -> (image: Int, weight: Int, operations: Int) {
    let image = Int(s.batch * s.height * s.width * s.channels)
    return (image, Int(9 * s.channels * s.channels), 18 * image * Int(s.channels))
  }

  /// With the arranging of the weight, which a step pays for too.
  private func convolved(_ s: angel_conv2d_shape, _ family: angel_family) -> BenchKernelCase? {
    let (image, weight, operations) = sizes(s)
    let (bytes, matrix, panels) = (8 * image + 4 * weight, floats(weight), output(weight))
    let arrange = launcher(
      ANGEL_FAMILY_conv2d_panels, KernelDTypes(.float32), Work(bytes: 8 * weight), angel_conv2d_panels_arguments.self)
    let launch = launcher(
      family, KernelDTypes(.float32), Work(bytes: bytes, multiplyAdds: operations / 2), angel_conv2d_arguments.self)
    guard let arrange, let launch else { return nil }
    let transposed: Int32 = family == ANGEL_FAMILY_conv2d ? 0 : 1
    return imageCase(family.name, s, bytes: bytes, operations: operations) {
      arrange(
        angel_conv2d_panels_arguments(
          weight: UnsafeRawPointer(matrix), panels: panels, shape: s, dtype: ANGEL_F32, transposed: transposed))
      launch(
        angel_conv2d_arguments(
          input: floats(image), panels: UnsafePointer(panels), bias: nil, output: output(image), shape: s))
    }
  }

  /// With the arranging of both operands.
  private func weighted(_ s: angel_conv2d_shape) -> BenchKernelCase? {
    let (image, weight, operations) = sizes(s)
    let bytes = 8 * image + 4 * weight
    let padded = Int((s.height + 2) * (s.width + 2) * s.channels)
    let (lines, planes) = (output(padded), output(padded))
    let arrangements = [ANGEL_FAMILY_conv2d_lines, ANGEL_FAMILY_conv2d_planes].map {
      launcher($0, KernelDTypes(.float32), Work(bytes: 8 * image), angel_conv2d_arrange_arguments.self)
    }
    let launch = launcher(
      ANGEL_FAMILY_conv2d_weight_backward, KernelDTypes(.float32), Work(bytes: bytes, multiplyAdds: operations / 2),
      angel_conv2d_weight_backward_arguments.self)
    guard let turn = arrangements[0], let split = arrangements[1], let launch else { return nil }
    return imageCase("conv2d_weight_backward", s, bytes: bytes, operations: operations) {
      turn(angel_conv2d_arrange_arguments(source: floats(image), target: lines, shape: s))
      split(angel_conv2d_arrange_arguments(source: floats(image), target: planes, shape: s))
      launch(
        angel_conv2d_weight_backward_arguments(
          lines: UnsafePointer(lines), planes: UnsafePointer(planes), output: output(weight), shape: s))
    }
  }

  /// Moments and application; both read the image.
  private func normalized(_ s: angel_conv2d_shape) -> BenchKernelCase? {
    let (image, channels) = (sizes(s).image, Int(s.channels))
    let (places, weight, centres, squares) = (s.height * s.width, floats(channels), output(channels), output(channels))
    let moments = launcher(
      ANGEL_FAMILY_channel_moments, KernelDTypes(.float32), Work(bytes: 8 * image), angel_channel_moments_arguments.self
    )
    let launch = launcher(
      ANGEL_FAMILY_group_norm, KernelDTypes(.float32), Work(bytes: 8 * image), angel_group_norm_arguments.self)
    guard let moments, let launch else { return nil }
    return imageCase("group_norm", s, bytes: 8 * image) {
      let input = floats(image)
      moments(
        angel_channel_moments_arguments(
          input: input, centres: centres, squares: squares, batch: 1, places: places, channels: s.channels))
      launch(
        angel_group_norm_arguments(
          input: input, centres: centres, scales: squares, weight: weight, bias: weight, output: output(image),
          batch: 1, places: places, channels: s.channels, has_silu: 1))
    }
  }

  private func upsampled(_ s: angel_conv2d_shape) -> BenchKernelCase? {
    let image = sizes(s).image
    let launch = launcher(
      ANGEL_FAMILY_upsample, KernelDTypes(.float32), Work(bytes: 20 * image), angel_resample_arguments.self)
    return launch.flatMap { launch in
      imageCase("upsample", s, bytes: 20 * image) {
        launch(
          angel_resample_arguments(
            input: floats(image), output: output(4 * image), batch: 1, height: s.height, width: s.width,
            channels: s.channels, factor: 2, scale: 1))
      }
    }
  }
}
