// expert_matmul: rows grouped by expert, each group times its expert's weight. dtypes: (input, weight, none or bf16), as matmul.
// output[p][n] = sum_k input[p][k] * weights[e][n][k] for places p in offsets[e] ..< offsets[e + 1]: each group is one
// product of matmul.h, with its order of summation, so a row has the same bits whatever the other rows and their experts.
// The groups' sizes are read through `offsets` when the kernel runs: a recorded step may be replayed with other routes.
// Parts split the output panels of every expert, never depth and never the experts, so that they stay equally heavy.
#pragma once
#include "angel_types.h"

struct angel_expert_matmul_arguments {
  const void *input;           // [places, depth], float32, or rows of quantize_rows.h
  const void *const *weights;  // [choices] packed panels of [columns, depth] each (pack.h)
  const int32_t *offsets;      // [choices + 1], from 0 up to places
  float *output;               // [places, columns]; bf16 where the third dtype says so
  int64_t choices, depth, columns;
  angel_dtype input_dtype, weight_dtype;  // as looked up by
};
