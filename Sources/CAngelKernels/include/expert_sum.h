// expert_sum: what a row's experts made of it, weighted. dtypes: (input, none, none), f32 or bf16; sums are float32.
// output[r] = sum_k weights[r][k] * input[places[r * count + k]]: one chain over k ascending, the first term a product,
// each further one a fused multiply-add. Without weights plain sums in the same order: the gradient of grouping rows.
// expert_sum_backward: dtypes as above, that of the input.
//   input_gradient[places[r * count + k]] = weights[r][k] * gradient[r];
//   weight_gradient[r][k] = gradient[r] . input[places[r * count + k]] in 16 interleaved lanes, halved 8-4-2-1.
// Every place belongs to one slot. Nothing overlaps an output.
#pragma once
#include "angel_types.h"

struct angel_expert_sum_arguments {
  const void *input;      // [places, width]
  const float *weights;   // [rows, count], or NULL for ones
  const int32_t *places;  // [rows, count]
  float *output;          // [rows, width]
  int64_t rows, count, width;
};
struct angel_expert_sum_backward_arguments {
  const void *input;       // [places, width]
  const float *weights;    // [rows, count]
  const int32_t *places;   // [rows, count]
  const float *gradient;   // [rows, width]
  void *input_gradient;    // [places, width], or NULL
  float *weight_gradient;  // [rows, count], or NULL
  int64_t rows, count, width;
};
