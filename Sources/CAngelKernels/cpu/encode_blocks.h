// Blocks of quants as files hold them, for the formats that values can be rounded to (encode_rows.h, fit_rows.h): how quants become
// values, and the layout of blocks of 32. Those of 256 are in super_blocks.h.
#pragma once
#include <math.h>

#include "half.h"
#include "panels.h"

// How quants become values: d * (q - offset), or d * q + minimum; q runs from 0 to `most`. q8_0 stores q - offset. `group` quants
// share d and minimum, `block` quants are stored together.
struct angel_quant_grid {
  int most, offset;
  int has_minimum;
  int group, block;
  int64_t block_bytes;
};

ANGEL_INLINE struct angel_quant_grid angel_quant_grid_of(angel_dtype format) {
  switch (format) {
    case ANGEL_Q4_0: return (struct angel_quant_grid){15, 8, 0, 32, 32, 18};
    case ANGEL_Q4_1: return (struct angel_quant_grid){15, 0, 1, 32, 32, 20};
    case ANGEL_Q5_0: return (struct angel_quant_grid){31, 16, 0, 32, 32, 22};
    case ANGEL_Q5_1: return (struct angel_quant_grid){31, 0, 1, 32, 32, 24};
    case ANGEL_Q4_K: return (struct angel_quant_grid){15, 0, 1, 32, 256, 144};
    case ANGEL_Q5_K: return (struct angel_quant_grid){31, 0, 1, 32, 256, 176};
    case ANGEL_Q6_K: return (struct angel_quant_grid){63, 32, 0, 16, 256, 210};
    default: return (struct angel_quant_grid){255, 128, 0, 32, 32, 34};
  }
}

ANGEL_INLINE float angel_inverse_scale(float d) { return d == 0 ? 0 : 1 / d; }

// The nearest quant of a value; `inverse` is 1 / d, 0 for d = 0.
ANGEL_INLINE float angel_nearest_quant(float x, float minimum, float inverse, struct angel_quant_grid grid) {
  const float quant = floorf((x - minimum) * inverse + ((float)grid.offset + 0.5f)), most = (float)grid.most;
  return quant >= most ? most : quant > 0 ? quant : 0;
}

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
