// swiglu: output = gate / (1 + exp(-gate)) * up (arXiv:2002.05202). dtypes: (f32, none, none).
// Output may be an input's memory.
#pragma once
#include "angel_types.h"

struct angel_swiglu_arguments {
  const float *gate, *up;  // [count]
  float *output;           // [count]
  int64_t count;
};
