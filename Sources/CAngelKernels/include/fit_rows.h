// fit_rows: float32 rows -> the blocks of a GGUF format, rounded so that products with the inputs seen change least.
// dtypes: (f32, target, none); targets are those of encode_rows.h and q4_K q5_K q6_K.
//
// A block's scale (and minimum) is the best of some around the reference rule's: for each the quants are the nearest ones, the
// scale (and minimum) is refitted to them by least squares, and the sum of c (w - ŵ)² decides, c being `importance`, the mean
// square of each input. q8_0 keeps the reference rule's scale. Without a `factor` values go to the nearest quants.
//
// In the K formats each group of 32 quants (16 in q6_K) has a scale (and minimum) that is an integer times a float16 of its block of
// 256: real ones are found as above, the integers are the best of those around them, for the quants that these then lead to, and the
// float16 are refitted to all by least squares, twice.
//
// With a `factor` U of the inputs' moments (inverse_factor.h) rounding is GPTQ's (arXiv:2210.17323, Algorithm 1), with scales
// fixed before: column by column in `order`, which is that of U's rows, w is rounded to ŵ, and (w - ŵ) / U_ii times row i of U
// is taken from the columns that follow. With `whole` too, elements that are zero in `input` become zeros whatever columns
// before leave to them, and what they lose is passed on as well: pruning as SparseGPT's (arXiv:2301.00774, Algorithm 1),
// for zeros chosen before. Formats without a minimum only.
//
// All in float32; a row's blocks depend on that row alone.
#pragma once
#include "angel_types.h"

struct angel_fit_rows_arguments {
  const float *input;       // [rows, depth]
  const float *whole;       // [rows, depth], or NULL: what `input` was before some of it became zero
  const float *importance;  // [depth], none negative; or NULL: all alike
  const float *factor;      // [depth, depth], or NULL
  const int32_t *order;     // [depth], each column once; used with a factor
  void *output;             // [rows, depth / 32] blocks, or depth / 256
  float *scratch;           // [rows, depth + depth / 8]
  uint8_t *quants;          // [rows, depth], scratch
  int64_t rows, depth;      // depth a multiple of 32, or 256
};
