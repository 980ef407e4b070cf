// expert_arrange_rows: rows grouped by expert -> the transpose of every group, arranged as rows of a product (arrange.h).
// expert_arrange_panels: the same -> panels. dtypes: (source, target, none), as arrange_rows and arrange_panels.
// Group e, source rows offsets[e] ..< offsets[e + 1], becomes `width` lines whose depth is the number of its rows. The
// operands lie one after the other, each as long as it needs: what there is room for in all, whatever the groups, is
// angel_expert_rows_bytes and angel_expert_panels_bytes. The groups' sizes are read when the kernel runs.
#pragma once
#include "angel_types.h"

struct angel_expert_arrange_arguments {
  const void *source;      // [places, width], f32 or bf16
  void *target;
  const int32_t *offsets;  // [choices + 1], from 0 up to places
  int64_t choices, width;
  angel_dtype source_dtype, target_dtype;  // as looked up by
};

// The most bytes that the operands of `places` rows in at most `choices` groups take; target f32, or bf16.
int64_t angel_expert_rows_bytes(angel_dtype target, int64_t places, int64_t choices, int64_t width);
int64_t angel_expert_panels_bytes(angel_dtype target, int64_t places, int64_t choices, int64_t width);
