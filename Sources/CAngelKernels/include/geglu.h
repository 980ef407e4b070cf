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
