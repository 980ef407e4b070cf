// Mean and scale of a row, shared by layernorm and its backward pass (layernorm.h, norm_backward.h).
#pragma once
#include "lanes.h"

ANGEL_INLINE float layernorm_mean(const void *input, angel_dtype dtype, int64_t at, int64_t width) {
  f32x16 sums = f32x16_splat(0);
  for (int64_t i = 0; i < width; i += 16) sums += f32x16_read(input, at + i, width - i, dtype);
  return f32x16_sum(sums) / (float)width;
}

ANGEL_INLINE float layernorm_scale(
  const void *input, angel_dtype dtype, int64_t at, int64_t width, float mean, float epsilon) {
  const int64_t whole = width / 16 * 16;
  f32x16 squares = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_read(input, at + i, 16, dtype) - mean;
    squares = f32x16_fma(x, x, squares);
  }
  if (whole < width) {
    // The lanes past the end must add nothing, so the mean is taken off the others alone.
    float rest[16] = {0};
    for (int64_t i = whole; i < width; i++) rest[i - whole] = f32_read(input, at + i, dtype) - mean;
    const f32x16 x = f32x16_load(rest);
    squares = f32x16_fma(x, x, squares);
  }
  return 1.0f / __builtin_sqrtf(f32x16_sum(squares) / (float)width + epsilon);
}
