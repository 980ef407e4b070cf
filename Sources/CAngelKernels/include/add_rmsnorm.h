// add_rmsnorm: sum = input + update; normalized = rmsnorm(sum) as in rmsnorm.h. dtypes: (f32 or bf16,
// none, none): that of update and normalized; input and sum are float32.
// What a pre-norm block does between its layers (arXiv:2002.04745), in one pass over memory instead of two. Both outputs
// equal those of add followed by rmsnorm bit for bit: the squares of a row are summed in the same order.
// Each output may be the same memory as input or update, but not both the same.
#pragma once
#include "angel_types.h"

struct angel_add_rmsnorm_arguments {
  const float *input;           // [rows, width]
  const void *update;           // [rows, width]
  const float *weight;          // [width]
  float *sum;                   // [rows, width]
  void *normalized;             // [rows, width]
  int64_t rows, width;
  float epsilon;
};
