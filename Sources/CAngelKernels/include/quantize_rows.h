// quantize_rows: float32 rows -> int8 activations, symmetric per 32 elements. dtypes: (f32, int8_rows, none).
// Layout of a row (angel_int8_row_bytes(depth) bytes, a multiple of 64): int8 q[depth]; float scale[depth/32];
// int32 sum[depth/16] (sum of q over each 16). scale = max|x|/127; q = round-half-even(x * (127/max|x|)) clamped to
// +-127; a block of zeros, or of magnitudes so small that 127/max overflows, has scale 0 and zero quants. Depth is a
// multiple of 32. Non-finite input gives a NaN scale (and zero quants), so it surfaces instead of vanishing.
//
// dtypes (f32, bf16_rows, none): rows rounded to bfloat16, for products with bfloat16 weights. Layout of a row
// (angel_bf16_row_bytes(depth) bytes, a multiple of 64): uint16 [depth], rounded half to even, then zeros. NaNs stay
// NaNs.
#pragma once
#include "angel_types.h"

struct angel_quantize_rows_arguments {
  const float *input;  // [rows, depth]
  void *output;        // rows * angel_int8_row_bytes(depth) or angel_bf16_row_bytes(depth) bytes
  int64_t rows, depth;
};
static inline int64_t angel_int8_row_bytes(int64_t depth) {
  return (depth + depth / 32 * 4 + depth / 16 * 4 + 63) / 64 * 64;
}
static inline int64_t angel_bf16_row_bytes(int64_t depth) { return (depth * 2 + 63) / 64 * 64; }
