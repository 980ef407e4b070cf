// group_norm: images with channels last, normalised over the places and channels of a group (arXiv:1803.08494).
// dtypes: (f32, none, none). What is per group comes as numbers per channel, so that a channel is a lane:
// channel_moments: centres[n][c] = mean over places of input[n][p][c]; squares[n][c] = sum of (input - centre)^2.
// group_norm: u = fma((input - centres[n][c]) * scales[n][c], weight[c], bias[c]), the output u, or u / (1 + exp(-u)).
// group_norm_sums_backward: with m = (input - centre) * scale and dy, or dy times the derivative s (1 + u (1 - s)) of the
//   SiLU, s = 1 / (1 + exp(-u)): gradient_sums[n][c] = sum over places of dy; product_sums[n][c] = sum of dy * m.
// group_norm_backward: input_gradient = scales * (dy * weight - centre_pulls - m * scale_pulls), dy as above.
// Sums over places are the fixed tree of norm_backward.h over their number alone. Parts own channels of an image for
// sums, places otherwise. An output may be the memory of the input or the gradient.
#pragma once
#include "angel_types.h"

struct angel_channel_moments_arguments {
  const float *input;  // [batch, places, channels]
  float *centres;      // [batch, channels]
  float *squares;      // [batch, channels]
  int64_t batch, places, channels;
};
struct angel_group_norm_arguments {
  const float *input;            // [batch, places, channels]
  const float *centres, *scales; // [batch, channels]
  const float *weight, *bias;    // [channels]
  float *output;                 // [batch, places, channels]
  int64_t batch, places, channels;
  int32_t has_silu;
};
// For group_norm_sums_backward and group_norm_backward.
struct angel_group_norm_backward_arguments {
  const float *input, *gradient;              // [batch, places, channels]
  const float *centres, *scales;              // [batch, channels]
  const float *weight, *bias;                 // [channels]
  const float *centre_pulls, *scale_pulls;    // [batch, channels]; group_norm_backward alone
  float *input_gradient;                      // [batch, places, channels]; group_norm_backward alone
  float *gradient_sums, *product_sums;        // [batch, channels]; group_norm_sums_backward alone
  int64_t batch, places, channels;
  int32_t has_silu;
};
