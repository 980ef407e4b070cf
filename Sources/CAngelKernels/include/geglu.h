// geglu: output = gelu(gate) * up (arXiv:2002.05202), with gelu as in gelu.h. dtypes: (f32, none, none).
// Output may be an input's memory.
#pragma once
#include "gelu.h"

struct angel_geglu_arguments {
  const float *gate, *up;  // [count]
  float *output;           // [count]
  int64_t count;
  angel_gelu_form form;
};

// geglu_backward: dgate = dy up gelu'(gate), dup = dy gelu(gate) (gelu.h). dtypes: (f32, none, none).
// Each result may be any input's memory, but not both the same.
struct angel_geglu_backward_arguments {
  const float *gate, *up, *gradient;   // [count]
  float *gate_gradient, *up_gradient;  // [count]
  int64_t count;
  angel_gelu_form form;
};
