// master: float32 values <-> the two halves in which a trained matrix is held (adamw.h). dtypes: (f32, bf16, none) splits,
// (bf16, f32, none) joins; one after the other gives the same bits.
//   high = the value rounded to bfloat16, halves away from zero;  low = the float32 bits less those of high, as int16.
// A NaN keeps its sign alone.
#pragma once
#include "angel_types.h"

struct angel_master_arguments {
  float *values;   // [count]
  uint16_t *high;  // [count]
  int16_t *low;    // [count]
  int64_t count;
};
