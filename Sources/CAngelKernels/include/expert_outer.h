// expert_outer: what a group adds up to for its expert's weight. dtypes: (rows, panels, none), (f32, f32) or
// (bf16_rows, bf16).
// output[e][n][k] = sum_p left[p][n] * right[p][k] over the places p of group e, in the order of matmul.h over p ascending;
// zeros where the group is empty. The operands are those of expert_arrange.h: left as rows, right as panels.
// Parts split the output panels (k) of every expert, never the places.
#pragma once
#include "angel_types.h"

struct angel_expert_outer_arguments {
  const void *rows;        // of left, [places, lines], transposed
  const void *panels;      // of right, [places, columns], transposed
  const int32_t *offsets;  // [choices + 1], from 0 up to places
  float *output;           // [choices, lines, columns]
  int64_t choices, lines, columns;
  angel_dtype rows_dtype, panels_dtype;  // as looked up by
};
