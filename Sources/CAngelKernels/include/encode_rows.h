// encode_rows: float32 rows -> the blocks of a GGUF format, as files hold them. dtypes: (f32, target, none); targets are
// q4_0 q4_1 q5_0 q5_1 q8_0. The rounding is the formats' reference, bit for bit that of the `gguf` Python package:
//   q4_0 q5_0  d = m / -8 (-16) with m the value of largest magnitude, the first of equals; q = trunc(x * (1/d) + 8.5)
//              (16.5), at most 15 (31)
//   q4_1 q5_1  m = min x, d = (max x - m) / 15 (31); q = trunc((x - m) * (1/d) + 0.5), at most 15 (31)
//   q8_0       d = max|x| / 127; q = x * (1/d) rounded half away from zero
// all in float32, 1/d being 0 for d = 0; d and m are then rounded to float16 (nearest even). Input is finite; a block
// whose scale leaves float16 (magnitudes beyond some 5e5) holds infinity. Blocks of a row are independent.
#pragma once
#include "angel_types.h"

struct angel_encode_rows_arguments {
  const float *input;  // [rows, depth]
  void *output;        // [rows, depth / 32] blocks
  int64_t rows, depth;  // depth a multiple of 32
};
