// The second half of RMS normalisation, shared by rmsnorm and add_rmsnorm so that their bits agree (rmsnorm.h).
#pragma once
#include "lanes.h"

// 1/sqrt(mean + epsilon) from the interleaved sums of squares of a row.
ANGEL_INLINE f32x16 rmsnorm_scale(f32x16 squares, int64_t width, float epsilon) {
  const float mean = f32x16_sum(squares) / (float)width;
  return f32x16_splat(1.0f / __builtin_sqrtf(mean + epsilon));
}

// output = input * scale * weight, in this order, of the row that begins at element `at`.
ANGEL_INLINE void rmsnorm_apply(
  const void *input, angel_dtype input_dtype, f32x16 scale, const float *weight, void *output,
  angel_dtype output_dtype, int64_t at, int64_t width) {
  for (int64_t i = 0; i < width; i += 16) {
    const f32x16 x = f32x16_read(input, at + i, width - i, input_dtype);
    const f32x16 w = f32x16_load_first_or_all(weight + i, width - i);
    f32x16_write(output, at + i, x * scale * w, width - i, output_dtype);
  }
}
