// geglu: output = gelu(gate) * up (arXiv:2002.05202), with gelu as in gelu.h. dtypes: (f32 or
// bf16, none, none); arithmetic is float32, rounded once.
// Output may be an input's memory.
// 2048 values on one thread of a Zen 4 (2026-11-25, shared machine, CPU time, medians of 21), AVX-512 and AVX2: tanh form
// 0.87 and 1.6 us, erf form 1.5 and 2.8 us, swiglu 0.74 and 1.2 us; with the C library's tanh or erf 26 to 27 us.
#pragma once
#include "gelu.h"

struct angel_geglu_arguments {
  const void *gate, *up;  // [count], f32 or bf16 as looked up
  void *output;           // [count]
  int64_t count;
  angel_gelu_form form;
};

// geglu_backward: dgate = dy up gelu'(gate), dup = dy gelu(gate) (gelu.h). dtypes: (f32, none, none).
// Each result may be any input's memory, but not both the same.
struct angel_geglu_backward_arguments {
  const void *gate, *up, *gradient;   // [count]
  void *gate_gradient, *up_gradient;  // [count]
  int64_t count;
  angel_gelu_form form;
};
