// adamw8: one step of AdamW (adamw.h) whose states are kept in 8 bits (block-wise, as arXiv:2110.02861), in place. dtypes as
// adamw.h.
// Blocks of ANGEL_ADAMW8_BLOCK values share a float32 scale, the greatest absolute value in the block; a value is kept as x / scale:
//   first   m: a sign, 3 bits of exponent, 4 of mantissa: 2^-6 ... 1 with steps of 1/16, below that steps of 2^-10
//   second  the root of v, which has half of v's range: 4 bits of exponent, 4 of mantissa: 2^-14 ... 1, below that steps of 2^-18
// Rounding is to a random neighbour, the nearer the likelier: to the nearest, a moment that changes by less than half a step would
// never change. The random bits are a hash of `seed` and the value's place, so a step repeats bit for bit.
// m, v and p are computed as in adamw.h from the values kept, in float32, every operation rounded, in that order.
// A code of 8 bits is e << 4 | f after the sign: (16 + f) * 2^(e - 1) units, or f units where e is 0; the highest code but one
// bit, e = 7 (15 for second), f = 0, is 1.
#pragma once
#include "angel_types.h"
#define ANGEL_ADAMW8_BLOCK 256

struct angel_adamw8_arguments {
  void *parameter;        // [count] float or uint16
  int16_t *low;           // [count] for bf16, else NULL
  const float *gradient;  // [count]
  uint8_t *first, *second;              // [count]
  float *first_scale, *second_scale;    // [(count + ANGEL_ADAMW8_BLOCK - 1) / ANGEL_ADAMW8_BLOCK]
  int64_t count;
  uint32_t seed;
  float gradient_scale, learning_rate, weight_decay, beta1, beta2, epsilon;
  float correction1, correction2;
};
