// exp and tanh of sixteen float32 lanes: one polynomial, the same bits on every instruction set. Coefficients were
// fitted for the least relative error over the reduced range.
#pragma once
#include "lanes.h"

// exp(x) within 1 ulp, subnormal results included. exp(-inf) = 0, overflow gives +inf, NaN passes.
//   x = n ln2 + r, |r| <= ln2/2;  exp(r) = 1 + r + r^2 q(r), relative error 2^-28;  times 2^n in two halves, so that
//   neither factor overflows and a subnormal result is rounded once.
ANGEL_INLINE f32x16 f32x16_exp(f32x16 x) {
  const f32x16 round = f32x16_splat(0x1.8p23f);  // adding it leaves n, rounded to nearest even, in the low bits
  x = x < -104.0f ? f32x16_splat(-104.0f) : x;   // exp(-104) is below half the least subnormal
  x = x > 89.0f ? f32x16_splat(89.0f) : x;
  const f32x16 shifted = f32x16_fma(x, f32x16_splat(0x1.715476p+0f), round);
  const f32x16 n = shifted - round;
  f32x16 r = f32x16_fma(n, f32x16_splat(-0x1.62e4p-1f), x);
  r = f32x16_fma(n, f32x16_splat(-0x1.7f7d1cp-20f), r);
  f32x16 q = f32x16_splat(0x1.6a2434p-10f);
  q = f32x16_fma(q, r, f32x16_splat(0x1.1239e2p-7f));
  q = f32x16_fma(q, r, f32x16_splat(0x1.5558f2p-5f));
  q = f32x16_fma(q, r, f32x16_splat(0x1.555492p-3f));
  q = f32x16_fma(q, r, f32x16_splat(0x1.fffffcp-2f));
  q = f32x16_fma(q, r, f32x16_splat(1.0f));
  q = f32x16_fma(q, r, f32x16_splat(1.0f));
  const u32x16 bits = f32x16_bits(shifted), half = bits >> 1;
  const f32x16 first = f32x16_of_bits((half + 127) << 23), second = f32x16_of_bits((bits - half + 127) << 23);
  return q * first * second;
}

// One lane of f32x16_exp.
ANGEL_INLINE float f32_exp(float x) { return f32x16_exp(f32x16_splat(x))[0]; }

// 2^x within 1 ulp for x <= 0, flushed to 0 below 2^-126: a softmax's weights. exp2(-inf) = 0, NaN passes.
//   x = n + f, |f| <= 1/2;  2^f by a polynomial of degree 6, relative error 2^-28;  times 2^n.
ANGEL_INLINE f32x16 f32x16_exp2_weight(f32x16 x) {
  const f32x16 round = f32x16_splat(0x1.8p23f + 127);  // adding it leaves n + 127, the exponent of 2^n, in the low bits
  const f32x16 shifted = x + round, f = x - (shifted - round);
  f32x16 q = f32x16_splat(0x1.416b5p-13f);
  q = f32x16_fma(q, f, f32x16_splat(0x1.5f082ep-10f));
  q = f32x16_fma(q, f, f32x16_splat(0x1.3b2dep-7f));
  q = f32x16_fma(q, f, f32x16_splat(0x1.c6af7cp-5f));
  q = f32x16_fma(q, f, f32x16_splat(0x1.ebfbdcp-3f));
  q = f32x16_fma(q, f, f32x16_splat(0x1.62e43p-1f));
  q = f32x16_fma(q, f, f32x16_splat(1.0f));
  const f32x16 weight = q * f32x16_of_bits(f32x16_bits(shifted) << 23);
  return x < -126.0f ? f32x16_splat(0) : weight;
}

// tanh(x) within 2 ulp: x + x^3 q(x^2) below 0.625, else 1 - 2 / (exp(2|x|) + 1) with the sign of x. NaN passes.
ANGEL_INLINE f32x16 f32x16_tanh(f32x16 x) {
  const f32x16 square = x * x;
  f32x16 q = f32x16_splat(-0x1.75a622p-8f);
  q = f32x16_fma(q, square, f32x16_splat(0x1.5219c8p-6f));
  q = f32x16_fma(q, square, f32x16_splat(-0x1.b83a7ap-5f));
  q = f32x16_fma(q, square, f32x16_splat(0x1.11071ap-3f));
  q = f32x16_fma(q, square, f32x16_splat(-0x1.555532p-2f));
  const f32x16 near = f32x16_fma(x * square, q, x);
  const u32x16 sign = f32x16_bits(x) & 0x80000000;
  const f32x16 magnitude = f32x16_of_bits(f32x16_bits(x) & 0x7fffffff);
  const f32x16 far = 1.0f - 2.0f / (f32x16_exp(magnitude + magnitude) + 1.0f);
  return magnitude < 0.625f ? near : f32x16_of_bits(f32x16_bits(far) | sign);
}
