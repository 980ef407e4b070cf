// softcap: output = cap * tanh(x / cap), which keeps values within plus and minus cap (arXiv:2408.00118, §2).
// dtypes: (f32, none, none). tanh within 2 ulp. Output may be the input's memory.
// The logits of a vocabulary of 262,144 on one thread of a Zen 4 (2026-11-25, shared machine, CPU time, medians of 21):
// 0.14 ms with AVX-512, 0.20 ms with AVX2; the C library's tanh takes 2.2 ms.
#pragma once
#include "angel_types.h"

struct angel_softcap_arguments {
  const float *input;  // [count]
  float *output;       // [count]
  int64_t count;
  float cap;           // above 0
};
