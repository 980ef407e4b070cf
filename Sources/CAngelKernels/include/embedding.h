// embedding: output[r] = dequantised row tokens[r] of a packed weight (pack.h). dtypes: (weight, none, none).
#pragma once
#include "angel_types.h"

struct angel_embedding_arguments {
  const int32_t *tokens;  // [rows], each in 0..<columns (validated by the caller)
  const void *weight;     // packed panels of [columns, depth]
  float *output;          // [rows, depth]
  int64_t rows, columns, depth;
};
