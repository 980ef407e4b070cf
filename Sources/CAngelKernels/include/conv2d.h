// conv2d: a convolution of images with channels last. dtypes: (f32, none, none) unless said otherwise.
// output[n][y][x][o] = bias[o] + sum over taps (i, j), then channels c, of
//   input[n][y * stride - padding + i * dilation][x * stride - padding + j * dilation][c] * weight[o][i][j][c]
// One chain of fused multiply-adds from 0, i, j and c ascending, taps outside the image left out, the bias added last.
// With groups, output channel o sees the channels of its own group alone, and c counts inside it.
// conv2d_input_backward: input_gradient[n][y][x][c] = sum over taps (i, j), then output channels o of c's group, of the
//   gradients of those outputs that read this place, times weight[o][i][j][c]: a chain as above.
// conv2d_weight_backward: weight_gradient[o][i][j][c] = sum over n, y, x ascending of gradient[n][y][x][o] times the
//   input that it read: one chain from 0 in which places outside the image are zeros. So are gradients past the end of a row
//   of outputs: what is multiplied with them must be finite, or the sum is not.
// What they read is arranged first:
// conv2d_panels: weights -> panels (pack.h) [groups][taps][panels][depth][16]: columns output channels and depth channels
//   for conv2d, columns channels and depth output channels when transposed, for conv2d_input_backward. dtypes: (source,
//   none, none), f32 or bf16.
// conv2d_lines: gradient -> [batch][out_channels][angel_conv2d_line], rows of outputs as far apart as rows of a plane,
//   zeros between them.
// conv2d_planes: input -> [batch][groups][panels][stride_y * stride_x][plane_height * plane_width][16]: the image with
//   its padding, taken apart by the remainders of y and x by the strides, so that a tap reads places in order.
// Parts split output rows and panels of columns, never a sum. Nothing overlaps an output.
#pragma once
#include "angel_types.h"

struct angel_conv2d_shape {
  int64_t batch, height, width, channels;
  int64_t out_height, out_width, out_channels;
  int64_t kernel_height, kernel_width;
  int64_t stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, groups;
};

// Places of one phase of an image with its padding.
static inline int64_t angel_conv2d_plane_height(const struct angel_conv2d_shape *s) {
  return (s->height + 2 * s->padding_y + s->stride_y - 1) / s->stride_y;
}
static inline int64_t angel_conv2d_plane_width(const struct angel_conv2d_shape *s) {
  return (s->width + 2 * s->padding_x + s->stride_x - 1) / s->stride_x;
}
// Places from the first output of an image to its last, as lines have them.
static inline int64_t angel_conv2d_line(const struct angel_conv2d_shape *s) {
  return (s->out_height - 1) * angel_conv2d_plane_width(s) + s->out_width;
}

// For conv2d and conv2d_input_backward, whose input is the gradient and whose output is the input's.
struct angel_conv2d_arguments {
  const float *input;
  const float *panels;  // of conv2d_panels
  const float *bias;    // [out_channels], or NULL; conv2d alone
  float *output;
  struct angel_conv2d_shape shape;
};
struct angel_conv2d_weight_backward_arguments {
  const float *lines;   // of conv2d_lines
  const float *planes;  // of conv2d_planes
  float *output;        // [out_channels][kernel_height][kernel_width][channels / groups]
  struct angel_conv2d_shape shape;
};
struct angel_conv2d_panels_arguments {
  const void *weight;  // [out_channels][kernel_height][kernel_width][channels / groups]
  float *panels;
  struct angel_conv2d_shape shape;
  angel_dtype dtype;   // as looked up by
  int32_t transposed;
};
// For conv2d_lines and conv2d_planes.
struct angel_conv2d_arrange_arguments {
  const float *source;
  float *target;
  struct angel_conv2d_shape shape;
};
