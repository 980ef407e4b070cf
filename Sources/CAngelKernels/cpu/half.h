// float16 and bfloat16 by integer arithmetic: round to nearest even, subnormals, infinities and NaNs as IEEE 754 has
// them. The hardware conversions of the vector variants give the same bits.
#pragma once
#include <stdint.h>
#include <string.h>

static inline uint32_t angel_f32_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
static inline float angel_f32_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float angel_f32_from_f16(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31, fraction = half & 0x3ff;
  if (exponent == 31) {  // infinity, or a NaN made quiet
    return angel_f32_of_bits(sign | 0x7f800000 | fraction << 13 | (fraction != 0 ? 0x400000 : 0));
  }
  if (exponent == 0) {  // zero or subnormal: exact as an integer times 2^-24
    const float magnitude = (float)fraction * 0x1p-24f;
    return angel_f32_of_bits(sign | angel_f32_bits(magnitude));
  }
  return angel_f32_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static inline uint16_t angel_f16_from_f32(float value) {
  const uint32_t bits = angel_f32_bits(value), magnitude = bits & 0x7fffffff;
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  if (magnitude > 0x7f800000) return sign | 0x7e00 | (magnitude >> 13 & 0x3ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and above round to infinity
  if (magnitude < 0x38800000) {
    // Below 2^-14: adding 0.5 puts the unit of the sum at 2^-24, so the addition itself rounds to nearest even.
    const float aligned = angel_f32_of_bits(magnitude) + 0.5f;
    return sign | (uint16_t)(angel_f32_bits(aligned) - 0x3f000000);
  }
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return sign | (uint16_t)((rounded >> 13) - (112 << 10));
}

static inline float angel_f32_from_bf16(uint16_t half) { return angel_f32_of_bits((uint32_t)half << 16); }

static inline uint16_t angel_bf16_from_f32(float value) {
  const uint32_t bits = angel_f32_bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// float64 -> float32 with the last bit made odd when inexact, so that rounding once more to 16 bits rounds only once.
static inline float angel_f32_round_to_odd(double value) {
  const float nearest = (float)value;
  const uint32_t bits = angel_f32_bits(nearest);
  if ((double)nearest == value || value != value || (bits & 1) != 0) return nearest;
  const double error = value - (double)nearest;  // infinite when float32 overflowed: the largest float is odd
  const int away = (error > 0) == (value > 0);
  return angel_f32_of_bits(away ? bits + 1 : bits - 1);
}
