// square_sum: sums of squares of blocks of a float32 array, for norms. dtypes: (f32, none, none).
// output[b] is the sum over elements b*ANGEL_SQUARE_BLOCK ... of the block in float64: sixteen interleaved lanes, each
// ascending, then halved 8-4-2-1. Blocks stand at fixed places, so their sum in ascending order is the same for any number
// of parts and threads.
#pragma once
#include "angel_types.h"
#define ANGEL_SQUARE_BLOCK 16384

struct angel_square_sum_arguments {
  const float *input;  // [count]
  double *output;      // [(count + ANGEL_SQUARE_BLOCK - 1) / ANGEL_SQUARE_BLOCK]
  int64_t count;
};
