// lion: one step of Lion (arXiv:2302.06675, algorithm 2) on parameters of any shape, in place. dtypes as adamw.h.
//   g = gradient * gradient_scale;  c = m * beta1 + g * (1 - beta1)
//   p = p * (1 - learning_rate * weight_decay);  p = p - learning_rate * sign(c), sign(0) = 0
//   m = m * beta2 + g * (1 - beta2)
// in float32, every operation rounded, in this order.
#pragma once
#include "angel_types.h"

struct angel_lion_arguments {
  void *parameter;        // [count] float or uint16
  int16_t *low;           // [count] for bf16, else NULL
  const float *gradient;  // [count]
  float *momentum;        // [count]
  int64_t count;
  float gradient_scale, learning_rate, weight_decay, beta1, beta2;
};
