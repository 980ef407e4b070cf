// adamw: one step of AdamW (Loshchilov and Hutter, arXiv:1711.05101, algorithm 2) on parameters of any shape, in place.
// dtypes: (parameter, none, none), f32 or bf16.
//   g = gradient * gradient_scale
//   p = p * (1 - learning_rate * weight_decay)
//   m = m + (g - m) * (1 - beta1);  v = v * beta2 + g*g * (1 - beta2)
//   p = p - learning_rate / correction1 * m / (sqrt(v) / sqrt(correction2) + epsilon)
// in float32, every operation rounded, in this order (that of PyTorch's AdamW); correction_i = 1 - beta_i^step.
//   f32   parameter is float32
//   bf16  a float32 master in two halves: `parameter` is the master rounded to bfloat16 (halves away from zero), which products read,
//         and `low` what was rounded off, as the difference of the bit patterns. Together they are the float32 bits exactly.
#pragma once
#include "angel_types.h"

struct angel_adamw_arguments {
  void *parameter;        // [count] float or uint16
  int16_t *low;           // [count] for bf16, else NULL
  const float *gradient;  // [count]
  float *first, *second;  // [count] moments m and v
  int64_t count;
  float gradient_scale, learning_rate, weight_decay, beta1, beta2, epsilon;
  float correction1, correction2;
};
