// ema: an exponential moving average follows parameters of any shape. dtypes as adamw.h.
//   average = average + (p - average) * (1 - decay), in float32, every operation rounded.
#pragma once
#include "angel_types.h"

struct angel_ema_arguments {
  const void *parameter;  // [count] float or uint16
  const int16_t *low;     // [count] for bf16, else NULL
  float *average;         // [count]
  int64_t count;
  float decay;
};
