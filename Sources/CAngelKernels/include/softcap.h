// softcap: output = cap * tanh(x / cap), which keeps values within ±cap (arXiv:2408.00118, §2). dtypes: (f32, none, none).
// tanh within 2 ulp. Output may be the input's memory.
#pragma once
#include "angel_types.h"

struct angel_softcap_arguments {
  const float *input;  // [count]
  float *output;       // [count]
  int64_t count;
  float cap;           // above 0
};
