// rotary: rotates pairs (i, i + rotated/2) of the first `rotated` elements of each head (arXiv:2104.09864, half-split
// convention): y_i = x_i*cos - x_j*sin, y_j = x_j*cos + x_i*sin, every operation rounded;
// elements past `rotated` are copied.
// rotary_table: cosines and sines of position * inverse_frequency, times `scaling`; the product is rounded to float32
// before the cosine is taken, as the reference implementations do; the cosine is taken in float64 and rounded.
// dtypes: (f32, none, none) for both, and rotary (bf16, none, none): arithmetic is float32, rounded once. Input and output of rotary may be the same memory.
#pragma once
#include "angel_types.h"

struct angel_rotary_arguments {
  const void *input;   // [rows, heads, head_size]
  const float *table;  // [rows, 2, rotated/2]: cosines, then sines
  void *output;        // [rows, heads, head_size]
  int64_t rows, heads, head_size, rotated;
};
struct angel_rotary_table_arguments {
  const int32_t *positions;          // [rows]
  const float *inverse_frequencies;  // [half]
  float *output;                     // [rows, 2, half]
  int64_t rows, half;
  float scaling;
};
