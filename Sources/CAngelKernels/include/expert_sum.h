// expert_sum: what a row's experts made of it, weighted. dtypes: (f32, none, none).
// output[r] = sum_k weights[r][k] * input[places[r * count + k]]: one chain over k ascending, the first term a product,
// each further one a fused multiply-add. Nothing overlaps the output.
#pragma once
#include "angel_types.h"

struct angel_expert_sum_arguments {
  const float *input;     // [places, width]
  const float *weights;   // [rows, count]
  const int32_t *places;  // [rows, count]
  float *output;          // [rows, width]
  int64_t rows, count, width;
};
