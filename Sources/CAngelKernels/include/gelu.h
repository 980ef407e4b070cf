// gelu: output = x * Phi(x) (arXiv:1606.08415), in one of two forms. dtypes: (f32 or bf16, none,
// none); arithmetic is float32, rounded once.
//   ANGEL_GELU_ERF   Phi(x) = (1 + erf(x / sqrt 2)) / 2, the definition, within 5 ulp
//   ANGEL_GELU_TANH  (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2, taken as 1 / (1 + exp(-2 ...)), which loses nothing
//                    where tanh is near -1
// Output may be the input's memory.
#pragma once
#include "angel_types.h"

typedef enum : int32_t { ANGEL_GELU_ERF = 0, ANGEL_GELU_TANH = 1 } angel_gelu_form;

struct angel_gelu_arguments {
  const void *input;  // [count], f32 or bf16 as looked up
  void *output;       // [count]
  int64_t count;
  angel_gelu_form form;
};

// gelu_backward: dx = dy gelu'(x): Phi(x) + x phi(x), or in the other form, with c = 2 sqrt(2/pi) and
// m = 1 / (1 + exp(-c (x + 0.044715 x^3))): m + x m (1 - m) c (1 + 0.134145 x^2). dtypes: (f32, none, none).
// dx may be the memory of x or dy.
struct angel_gelu_backward_arguments {
  const void *input, *gradient;  // [count]
  void *input_gradient;          // [count]
  int64_t count;
  angel_gelu_form form;
};
