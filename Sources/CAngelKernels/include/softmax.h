// softmax over the last axis: exp(x - max) / sum. dtypes: (f32, none, none) and (f64, none, none).
// The sum is taken in 16 interleaved lanes, then halved 8-4-2-1. A NaN makes its row NaN, and so does a row of -inf.
// Input and output may be the same memory.
#pragma once
#include "angel_types.h"

struct angel_softmax_arguments {
  const void *input;  // [rows, width]
  void *output;       // [rows, width]
  int64_t rows, width;
};
