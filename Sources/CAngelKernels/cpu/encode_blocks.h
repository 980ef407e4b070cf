// Blocks of 32 quants as files hold them, for the formats that values can be rounded to (encode_rows.h, fit_rows.h).
#pragma once
#include <math.h>

#include "half.h"
#include "panels.h"

// How quants become values: d * (q - offset), or d * q + minimum; q runs from 0 to `most`. q8_0 stores q - offset.
struct angel_quant_grid {
  int most, offset;
  int has_minimum;
  int64_t block_bytes;
};

ANGEL_INLINE struct angel_quant_grid angel_quant_grid_of(angel_dtype format) {
  switch (format) {
    case ANGEL_Q4_0: return (struct angel_quant_grid){15, 8, 0, 18};
    case ANGEL_Q4_1: return (struct angel_quant_grid){15, 0, 1, 20};
    case ANGEL_Q5_0: return (struct angel_quant_grid){31, 16, 0, 22};
    case ANGEL_Q5_1: return (struct angel_quant_grid){31, 0, 1, 24};
    default: return (struct angel_quant_grid){255, 128, 0, 34};
  }
}

ANGEL_INLINE float angel_inverse_scale(float d) { return d == 0 ? 0 : 1 / d; }

// The value of largest magnitude, the first of equals.
ANGEL_INLINE float angel_extreme(const float x[ANGEL_BLOCK]) {
  float most = x[0];
  for (int e = 1; e < ANGEL_BLOCK; e++) most = fabsf(x[e]) > fabsf(most) ? x[e] : most;
  return most;
}

// Scale and minimum as float16, then the quants.
ANGEL_INLINE void angel_store_block(
  angel_dtype format, const uint8_t q[ANGEL_BLOCK], float d, float minimum, uint8_t *block) {
  const struct angel_quant_grid grid = angel_quant_grid_of(format);
  const uint16_t halves[2] = {angel_f16_from_f32(d), angel_f16_from_f32(minimum)};
  const int header = grid.has_minimum ? 4 : 2;
  memcpy(block, halves, (size_t)header);
  uint8_t *bytes = block + header;
  if (grid.most == 255) {
    for (int e = 0; e < ANGEL_BLOCK; e++) bytes[e] = (uint8_t)(q[e] - grid.offset);
    return;
  }
  if (grid.most == 31) {
    uint32_t bits = 0;
    for (int e = 0; e < ANGEL_BLOCK; e++) bits |= (uint32_t)(q[e] >> 4) << e;
    memcpy(bytes, &bits, 4);
    bytes += 4;
  }
  // Element e in the low nibble of byte e, element 16 + e in the high one.
  for (int e = 0; e < 16; e++) bytes[e] = (uint8_t)((q[e] & 15) | q[16 + e] << 4);
}
