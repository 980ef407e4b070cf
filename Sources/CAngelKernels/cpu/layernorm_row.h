// Mean and scale of a row, shared by layernorm and its backward pass (layernorm.h, norm_backward.h).
#pragma once
#include "lanes.h"

ANGEL_INLINE float layernorm_mean(const float *input, int64_t width) {
  const int64_t whole = width / 16 * 16;
  f32x16 sums = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) sums += f32x16_load(input + i);
  if (whole < width) sums += f32x16_load_first(input + whole, width - whole);
  return f32x16_sum(sums) / (float)width;
}

ANGEL_INLINE float layernorm_scale(const float *input, int64_t width, float mean, float epsilon) {
  const int64_t whole = width / 16 * 16;
  f32x16 squares = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_load(input + i) - mean;
    squares = f32x16_fma(x, x, squares);
  }
  if (whole < width) {
    // The lanes past the end must add nothing, so the mean is taken off the others alone.
    float rest[16] = {0};
    for (int64_t i = whole; i < width; i++) rest[i - whole] = input[i] - mean;
    const f32x16 x = f32x16_load(rest);
    squares = f32x16_fma(x, x, squares);
  }
  return 1.0f / __builtin_sqrtf(f32x16_sum(squares) / (float)width + epsilon);
}
