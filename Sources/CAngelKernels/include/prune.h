// prune: of every four consecutive elements of a row the two that matter most, and zeros. dtypes: (f32, none, none).
// An element matters by |w| √c, c being `importance`, the mean square of its input (Wanda, arXiv:2306.11695, §3, where
// the root of the sum of squares has the same order), or 1 (its magnitude). Of equals the first ones stay. Output may be
// the input.
// Parts split rows.
#pragma once
#include "angel_types.h"

struct angel_prune_arguments {
  const float *input;       // [rows, width]
  const float *importance;  // [width], none negative; or NULL
  float *output;            // [rows, width]
  int64_t rows, width;      // width a multiple of 4
};
