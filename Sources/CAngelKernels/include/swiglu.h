// swiglu: output = gate / (1 + exp(-gate)) * up (arXiv:2002.05202). dtypes: (f32 or bf16, none,
// none) for all; arithmetic is float32, rounded once.
// Output may be an input's memory.
#pragma once
#include "angel_types.h"

struct angel_swiglu_arguments {
  const void *gate, *up;  // [count], f32 or bf16 as looked up
  void *output;           // [count]
  int64_t count;
};

// swiglu_backward: with s = 1 / (1 + exp(-gate)): dgate = dy up (s + gate s (1 - s)), dup = dy gate s. dtypes: (f32, none,
// none). Each result may be any input's memory, but not both the same.
struct angel_swiglu_backward_arguments {
  const void *gate, *up, *gradient;    // [count]
  void *gate_gradient, *up_gradient;   // [count]
  int64_t count;
};
