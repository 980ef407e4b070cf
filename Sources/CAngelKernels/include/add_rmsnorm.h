// add_rmsnorm: sum = input + update; normalized = rmsnorm(sum) as in rmsnorm.h. dtypes: (f32, none, none).
// What a pre-norm block does between its layers (arXiv:2002.04745), in one pass over memory instead of two. Both outputs
// equal those of add followed by rmsnorm bit for bit: the squares of a row are summed in the same order.
// Each output may be the same memory as input or update, but not both the same.
#pragma once
#include "angel_types.h"

struct angel_add_rmsnorm_arguments {
  const float *input, *update;  // [rows, width]
  const float *weight;          // [width]
  float *sum, *normalized;      // [rows, width]
  int64_t rows, width;
  float epsilon;
};
