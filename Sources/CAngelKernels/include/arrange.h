// arrange_panels: a dense matrix by strides -> panels (pack.h), f32 or bf16, whose columns are the matrix's lines; the last
// panel is padded with zeros.
// arrange_rows: the same -> rows: f32 [lines][depth], or bf16_rows (quantize_rows.h).
// They make the two operands of a product (matmul.h) of matrices that change from step to step, as in training.
// dtypes: (source, target, none); source f32 or bf16, target f32 or bf16 for panels, f32 or bf16_rows for rows.
// Element k of line i is source[i * line_stride + k * depth_stride]; one of the two strides is 1. So the weight of a layer
// and its transpose, activations and their transpose are all read where they lie. f32 rounds to bf16 half to even; bf16
// widens exactly.
#pragma once
#include "angel_types.h"

struct angel_arrange_arguments {
  const void *source;
  void *target;
  int64_t lines, depth;
  int64_t line_stride, depth_stride;  // in elements
};
