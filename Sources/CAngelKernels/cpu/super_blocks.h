// Super blocks of 256 quants as files hold them: q4_K and q5_K with eight groups of 32, q6_K with sixteen of 16 (fit_rows.h).
#pragma once
#include "encode_blocks.h"

enum { ANGEL_SUPER_BLOCK = 256, ANGEL_MOST_GROUPS = 16 };

// What a super block's groups have: values d s (q - offset) - dmin m.
struct angel_super_scales {
  float d, dmin;                                   // as float16 can hold them
  int s[ANGEL_MOST_GROUPS], m[ANGEL_MOST_GROUPS];  // 0 ... 63 each; without minima s is from -128 to 127, and m is 0
};

// Two runs of eight numbers of 6 bits in 12 bytes: of the last four the upper two bits lie in those of the first four.
ANGEL_INLINE void store_six_bits(const int *s, const int *m, uint8_t *bytes) {
  for (int j = 0; j < 4; j++) {
    bytes[j] = (uint8_t)(s[j] | (s[j + 4] >> 4) << 6);
    bytes[j + 4] = (uint8_t)(m[j] | (m[j + 4] >> 4) << 6);
    bytes[j + 8] = (uint8_t)((s[j + 4] & 15) | (m[j + 4] & 15) << 4);
  }
}

// Low halves of 64 quants in 32 bytes: of the first 32 in the low nibbles.
ANGEL_INLINE void store_nibbles(const uint8_t *q, uint8_t *bytes) {
  for (int n = 0; n < ANGEL_SUPER_BLOCK; n += 64, bytes += 32) {
    for (int e = 0; e < 32; e++) bytes[e] = (uint8_t)((q[n + e] & 15) | (q[n + 32 + e] & 15) << 4);
  }
}

ANGEL_INLINE void store_q6_quants(const uint8_t *q, uint8_t *low, uint8_t *high) {
  for (int n = 0; n < ANGEL_SUPER_BLOCK; n += 128, low += 64, high += 32) {
    for (int e = 0; e < 32; e++) {
      const uint8_t a = q[n + e], b = q[n + 32 + e], c = q[n + 64 + e], d = q[n + 96 + e];
      low[e] = (uint8_t)((a & 15) | (c & 15) << 4);
      low[e + 32] = (uint8_t)((b & 15) | (d & 15) << 4);
      high[e] = (uint8_t)(a >> 4 | (b >> 4) << 2 | (c >> 4) << 4 | (d >> 4) << 6);
    }
  }
}

ANGEL_INLINE void angel_store_super_scales(
  angel_dtype format, const struct angel_super_scales *scales, uint8_t *block) {
  const uint16_t halves[2] = {angel_f16_from_f32(scales->d), angel_f16_from_f32(scales->dmin)};
  if (format == ANGEL_Q6_K) {
    for (int j = 0; j < 16; j++) block[192 + j] = (uint8_t)(int8_t)scales->s[j];
    memcpy(block + 208, halves, 2);
    return;
  }
  memcpy(block, halves, 4);
  store_six_bits(scales->s, scales->m, block + 4);
}

ANGEL_INLINE void angel_store_super_quants(angel_dtype format, const uint8_t q[ANGEL_SUPER_BLOCK], uint8_t *block) {
  if (format == ANGEL_Q6_K) return store_q6_quants(q, block, block + 128);
  if (format == ANGEL_Q4_K) return store_nibbles(q, block + 16);
  for (int e = 0; e < 32; e++) {
    uint8_t bits = 0;
    for (int j = 0; j < 8; j++) bits |= (uint8_t)((q[j * 32 + e] >> 4) << j);
    block[16 + e] = bits;
  }
  store_nibbles(q, block + 48);
}
