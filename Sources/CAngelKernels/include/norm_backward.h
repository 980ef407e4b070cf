// The backward pass of the norms (rmsnorm.h, layernorm.h). dtypes: (input, gradient, none),
// (f32, f32), (f32, bf16) or (bf16, bf16), one alone for both; dx has the dtype of x. Arithmetic is float32.
// rmsnorm_backward: with s = 1 / sqrt(mean(x^2) + epsilon), n = x s and h = dy * weight, row by row:
//   scales = s;  dx = s (h - n mean(h n)).  Sums run in 16 interleaved lanes, halved 8-4-2-1.
// layernorm_backward: with m = mean(x), s = 1 / sqrt(mean((x - m)^2) + epsilon), n = (x - m) s and h = dy * weight:
//   centres = m;  scales = s;  dx = s (h - mean(h) - n mean(h n)).  Sums as above.
// norm_weight_backward: what the rows of a norm add up to for its weight and bias, column by column:
//   weight_gradient = sum_r dy[r] (x[r] - centres[r]) scales[r];  bias_gradient = sum_r dy[r]
//   Rows are summed in a fixed tree: one chain for each 32 rows, then neighbours pairwise, so that the result depends on the
//   number of rows alone. Parts own columns.
// dx may be the memory of dy or x.
#pragma once
#include "angel_types.h"
#define ANGEL_TREE_ROWS 32

struct angel_norm_backward_arguments {
  const void *input, *gradient;   // [rows, width]
  const float *weight;            // [width]
  void *input_gradient;           // [rows, width], or NULL
  float *scales;                  // [rows]
  float *centres;                 // [rows]; rmsnorm has none
  int64_t rows, width;
  float epsilon;
};
struct angel_norm_weight_backward_arguments {
  const void *input, *gradient;   // [rows, width]
  const float *scales;            // [rows]
  const float *centres;           // [rows], or NULL for zeros
  float *weight_gradient;         // [width]
  float *bias_gradient;           // [width], or NULL
  int64_t rows, width;
};
