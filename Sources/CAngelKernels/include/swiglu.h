// swiglu: output = gate / (1 + exp(-gate)) * up (arXiv:2002.05202). dtypes: (f32, none, none).
// Output may be an input's memory.
#pragma once
#include "angel_types.h"

struct angel_swiglu_arguments {
  const float *gate, *up;  // [count]
  float *output;           // [count]
  int64_t count;
};

// swiglu_backward: with s = 1 / (1 + exp(-gate)): dgate = dy up (s + gate s (1 - s)), dup = dy gate s. dtypes: (f32, none,
// none). Each result may be any input's memory, but not both the same.
struct angel_swiglu_backward_arguments {
  const float *gate, *up, *gradient;    // [count]
  float *gate_gradient, *up_gradient;   // [count]
  int64_t count;
};
