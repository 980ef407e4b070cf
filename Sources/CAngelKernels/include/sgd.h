// sgd: one step of stochastic gradient descent with momentum and decoupled decay, in place. dtypes as adamw.h.
//   g = gradient * gradient_scale;  p = p * (1 - learning_rate * weight_decay)
//   m = m * momentum + g;  p = p - learning_rate * m
// Without momentum `velocity` is NULL and m is g.
#pragma once
#include "angel_types.h"

struct angel_sgd_arguments {
  void *parameter;        // [count] float or uint16
  int16_t *low;           // [count] for bf16, else NULL
  const float *gradient;  // [count]
  float *velocity;        // [count] or NULL
  int64_t count;
  float gradient_scale, learning_rate, weight_decay, momentum;
};
