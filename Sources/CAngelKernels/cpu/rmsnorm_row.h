// The second half of RMS normalisation, shared by rmsnorm and add_rmsnorm so that their bits agree (rmsnorm.h).
#pragma once
#include "lanes.h"

// 1/sqrt(mean + epsilon) from the interleaved sums of squares of a row.
ANGEL_INLINE f32x16 rmsnorm_scale(f32x16 squares, int64_t width, float epsilon) {
  const float mean = f32x16_sum(squares) / (float)width;
  return f32x16_splat(1.0f / __builtin_sqrtf(mean + epsilon));
}

// output = input * scale * weight, in this order.
ANGEL_INLINE void rmsnorm_apply(const float *input, f32x16 scale, const float *weight, float *output, int64_t width) {
  const int64_t whole = width / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16) {
    f32x16_store(output + i, f32x16_load(input + i) * scale * f32x16_load(weight + i));
  }
  for (int64_t i = whole; i < width; i++) output[i] = input[i] * scale[0] * weight[i];
}
