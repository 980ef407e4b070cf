// column_sum: output[c] = sum_r input[r][c], what the rows of a linear layer add up to for its bias. dtypes: (f32 or bf16, none,
// none); the sums are float32.
// Rows are summed in a fixed tree: one chain for each 32 rows, then neighbours pairwise, so that the result depends on the
// number of rows alone. Parts own columns.
#pragma once
#include "angel_types.h"

struct angel_column_sum_arguments {
  const void *input;  // [rows, width]
  float *output;      // [width]
  int64_t rows, width;
};
