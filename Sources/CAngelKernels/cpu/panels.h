// Geometry of packed panels (pack.h), and the way back: one 32-block of 16 rows as bytes with float32 scales.
#pragma once
#include <stdalign.h>
#include <string.h>

#include "families.h"
#include "pack.h"

enum { ANGEL_BLOCK = 32 };

// How quants become values: d*(q - offset); d*q + minimum; d*scale*(q - offset) with one scale per 16; or
// d*scale*q - dmin*min with one scale and one min per 16.
enum angel_block_kind { ANGEL_OFFSET_BLOCK, ANGEL_MINIMUM_BLOCK, ANGEL_HALVES_BLOCK, ANGEL_MINIMA_BLOCK };

// A group is the unit that shares a header; it holds one or eight 32-blocks.
struct angel_geometry {
  int32_t blocks, header_bytes, block_bytes;
  int32_t offset;
  enum angel_block_kind kind;
};

ANGEL_INLINE struct angel_geometry angel_geometry_of(angel_dtype dtype) {
  switch (dtype) {
    case ANGEL_Q4_0: return (struct angel_geometry){1, 32, 256, 8, ANGEL_OFFSET_BLOCK};
    case ANGEL_Q4_1: return (struct angel_geometry){1, 64, 256, 0, ANGEL_MINIMUM_BLOCK};
    case ANGEL_Q5_0: return (struct angel_geometry){1, 32, 320, 16, ANGEL_OFFSET_BLOCK};
    case ANGEL_Q5_1: return (struct angel_geometry){1, 64, 320, 0, ANGEL_MINIMUM_BLOCK};
    case ANGEL_Q8_0: return (struct angel_geometry){1, 32, 512, 128, ANGEL_OFFSET_BLOCK};
    case ANGEL_Q4_K: return (struct angel_geometry){8, 320, 256, 0, ANGEL_MINIMUM_BLOCK};
    case ANGEL_Q5_K: return (struct angel_geometry){8, 320, 320, 0, ANGEL_MINIMUM_BLOCK};
    case ANGEL_Q6_K: return (struct angel_geometry){8, 288, 384, 32, ANGEL_HALVES_BLOCK};
    case ANGEL_Q2_K: return (struct angel_geometry){8, 320, 128, 0, ANGEL_MINIMA_BLOCK};
    case ANGEL_Q3_K: return (struct angel_geometry){8, 288, 192, 4, ANGEL_HALVES_BLOCK};
    case ANGEL_IQ4_NL: return (struct angel_geometry){1, 32, 256, 128, ANGEL_OFFSET_BLOCK};
    case ANGEL_IQ4_XS: return (struct angel_geometry){8, 160, 256, 128, ANGEL_OFFSET_BLOCK};
    case ANGEL_TQ1_0:
    case ANGEL_TQ2_0: return (struct angel_geometry){8, 32, 128, 1, ANGEL_OFFSET_BLOCK};
    case ANGEL_Q4_0_2OF4: return (struct angel_geometry){1, 32, 192, 8, ANGEL_OFFSET_BLOCK};
    case ANGEL_Q8_0_2OF4: return (struct angel_geometry){1, 32, 320, 128, ANGEL_OFFSET_BLOCK};
    // Floats in blocks: there is no quant to unpack, only values.
    case ANGEL_BF16_2OF4: return (struct angel_geometry){1, 0, 576, 0, ANGEL_OFFSET_BLOCK};
    default: return (struct angel_geometry){0};
  }
}

ANGEL_INLINE int64_t angel_group_bytes(struct angel_geometry geometry) {
  return geometry.header_bytes + (int64_t)geometry.blocks * geometry.block_bytes;
}

// Bytes of one panel, or -1 when depth is not a whole number of blocks or the dtype has no packed form.
static inline int64_t angel_panel_bytes(angel_dtype dtype, int64_t depth) {
  if (dtype == ANGEL_F32) return depth * ANGEL_PANEL * 4;
  if (dtype == ANGEL_F16 || dtype == ANGEL_BF16) return (depth + 1) / 2 * ANGEL_PANEL * 4;
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const int64_t elements = geometry.blocks * ANGEL_BLOCK;
  if (elements == 0 || depth % elements != 0) return -1;
  return depth / elements * angel_group_bytes(geometry);
}

// Exact, and free of subnormal arithmetic, which some processors run a hundred times slower.
ANGEL_INLINE float angel_float_of_half(uint16_t half) {
  const uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
  const uint32_t exponent = magnitude & 0x0f800000;
  const uint32_t smallest_normal = 113u << 23;  // 2^-14
  // Subnormals: place the mantissa under the exponent of 2^-14, then take 2^-14 off.
  const uint32_t subnormal_bits = magnitude + smallest_normal;
  const uint32_t normal_bits = magnitude + ((exponent == 0x0f800000 ? 224u : 112u) << 23);
  float subnormal, base;
  memcpy(&subnormal, &subnormal_bits, 4);
  memcpy(&base, &smallest_normal, 4);
  subnormal -= base;
  uint32_t bits;
  memcpy(&bits, &subnormal, 4);
  bits = (exponent == 0 ? bits : normal_bits) | (uint32_t)(half & 0x8000) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

ANGEL_INLINE float angel_float_of_bfloat(uint16_t brain) {
  const uint32_t bits = (uint32_t)brain << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

ANGEL_INLINE void angel_widen_halves(const uint8_t *halves, float values[ANGEL_PANEL]) {
  uint16_t copy[ANGEL_PANEL];
  memcpy(copy, halves, sizeof copy);
  for (int lane = 0; lane < ANGEL_PANEL; lane++) values[lane] = angel_float_of_half(copy[lane]);
}

// One 32-block of a panel with one byte per quant: q[g][4*lane+i] is element 4*g+i.
struct angel_block {
  alignas(64) uint8_t q[8][64];
  float d[ANGEL_PANEL];
  union {
    float minimum[ANGEL_PANEL];
    int32_t scale[2][ANGEL_PANEL];
    // scale of the first half in bits 0-3, its min in 4-7; of the second half in bits 16-19 and 20-23.
    struct {
      float negative_dmin[ANGEL_PANEL];
      uint32_t scales_and_mins[ANGEL_PANEL];
    };
  };
};

// The scales of block `index` of the group at `group`.
ANGEL_INLINE void angel_unpack_scales(angel_dtype dtype, const uint8_t *group, int index, struct angel_block *block) {
  angel_widen_halves(group, block->d);
  switch (dtype) {
    case ANGEL_Q4_1:
    case ANGEL_Q5_1: angel_widen_halves(group + 32, block->minimum); break;
    case ANGEL_Q4_K:
    case ANGEL_Q5_K: {
      const uint8_t *scale = group + 64 + index * ANGEL_PANEL, *minimum = scale + 128;
      angel_widen_halves(group + 32, block->minimum);
      for (int lane = 0; lane < ANGEL_PANEL; lane++) {
        block->d[lane] *= (float)scale[lane];
        block->minimum[lane] = -(block->minimum[lane] * (float)minimum[lane]);
      }
      break;
    }
    case ANGEL_Q3_K:
    case ANGEL_Q6_K: {
      const int8_t *scale = (const int8_t *)group + 32 + index * 2 * ANGEL_PANEL;
      for (int lane = 0; lane < ANGEL_PANEL; lane++) {
        block->scale[0][lane] = scale[lane];
        block->scale[1][lane] = scale[ANGEL_PANEL + lane];
      }
      break;
    }
    case ANGEL_Q2_K: {
      const uint8_t *scales = group + 64 + index * 2 * ANGEL_PANEL;
      angel_widen_halves(group + 32, block->negative_dmin);
      for (int lane = 0; lane < ANGEL_PANEL; lane++) {
        block->negative_dmin[lane] = -block->negative_dmin[lane];
        block->scales_and_mins[lane] = (uint32_t)scales[lane] | (uint32_t)scales[ANGEL_PANEL + lane] << 16;
      }
      break;
    }
    case ANGEL_IQ4_XS: {
      const int8_t *scale = (const int8_t *)group + 32 + index * ANGEL_PANEL;
      for (int lane = 0; lane < ANGEL_PANEL; lane++) block->d[lane] *= (float)scale[lane];
      break;
    }
    default: break;
  }
}

ANGEL_INLINE void angel_unpack_nibbles(const uint8_t *packed, struct angel_block *block) {
  for (int j = 0; j < 4; j++) {
    for (int i = 0; i < 64; i++) {
      block->q[j][i] = packed[64 * j + i] & 15;
      block->q[4 + j][i] = packed[64 * j + i] >> 4;
    }
  }
}

// Bit i of high[g] becomes bit `bit` of q[g][i]: eight bits at a time are spread over the bytes of a word.
ANGEL_INLINE void angel_add_high_bits(const uint8_t *high, int bit, struct angel_block *block) {
  for (int i = 0; i < 64; i++) {
    const uint64_t spread = high[i] * 0x0101010101010101u & 0x8040201008040201u;
    const uint64_t placed = ((spread + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> (7 - bit);
    uint64_t quants;
    memcpy(&quants, (uint8_t *)block->q + 8 * i, 8);
    quants |= placed;
    memcpy((uint8_t *)block->q + 8 * i, &quants, 8);
  }
}

ANGEL_INLINE void angel_unpack_two_bits(const uint8_t *packed, struct angel_block *block) {
  for (int g = 0; g < 8; g++) {
    for (int i = 0; i < 64; i++) block->q[g][i] = packed[64 * (g / 4) + i] >> 2 * (g % 4) & 3;
  }
}

// The table of the IQ4 formats, each value with 128 added.
static const uint8_t angel_iq4_values[16] = {
  1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

ANGEL_INLINE void angel_look_up_nibbles(struct angel_block *block) {
  for (int g = 0; g < 8; g++) {
    for (int i = 0; i < 64; i++) block->q[g][i] = angel_iq4_values[block->q[g][i]];
  }
}

// Elements that are not kept are zeros, whose quant is the offset.
ANGEL_INLINE void angel_unpack_two_of_four(angel_dtype dtype, const uint8_t *packed, struct angel_block *block) {
  const int is_wide = dtype == ANGEL_Q8_0_2OF4;
  const uint8_t *places = packed + (is_wide ? 256 : 128);
  memset(block->q, is_wide ? 128 : 8, sizeof block->q);
  for (int g = 0; g < 4; g++) {
    for (int i = 0; i < 64; i++) {
      const uint8_t kept = is_wide ? packed[64 * g + i] ^ 128 : packed[64 * (g % 2) + i] >> 4 * (g / 2) & 15;
      block->q[2 * g + (i >> 1 & 1)][(i & ~3) + (places[i] >> 2 * g & 3)] = kept;
    }
  }
}

// The values of a block of bf16_2of4: values[element][lane].
ANGEL_INLINE void angel_widen_two_of_four(const uint8_t *packed, float values[ANGEL_BLOCK][ANGEL_PANEL]) {
  memset(values, 0, ANGEL_BLOCK * sizeof *values);
  for (int lane = 0; lane < ANGEL_PANEL; lane++) {
    uint32_t places;
    memcpy(&places, packed + 512 + 4 * lane, 4);
    for (int quad = 0; quad < 8; quad++) {
      uint16_t kept[2];
      memcpy(kept, packed + 64 * quad + 4 * lane, sizeof kept);
      for (int i = 0; i < 2; i++) {
        values[4 * quad + (places >> (4 * quad + 2 * i) & 3)][lane] = angel_float_of_bfloat(kept[i]);
      }
    }
  }
}

// Block `index` of the group at `group`.
ANGEL_INLINE void angel_unpack_block(angel_dtype dtype, const uint8_t *group, int index, struct angel_block *block) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const uint8_t *packed = group + geometry.header_bytes + index * geometry.block_bytes;
  angel_unpack_scales(dtype, group, index, block);
  switch (dtype) {
    case ANGEL_Q8_0: memcpy(block->q, packed, sizeof block->q); break;
    case ANGEL_Q5_0:
    case ANGEL_Q5_1:
    case ANGEL_Q5_K:
      angel_unpack_nibbles(packed + 64, block);
      angel_add_high_bits(packed, 4, block);
      break;
    case ANGEL_Q6_K:
      angel_unpack_nibbles(packed, block);
      for (int g = 0; g < 8; g++) {
        const uint8_t *top = packed + 256 + 64 * (g / 4);
        for (int i = 0; i < 64; i++) block->q[g][i] |= (uint8_t)((top[i] >> 2 * (g % 4) & 3) << 4);
      }
      break;
    case ANGEL_Q2_K:
    case ANGEL_TQ1_0:
    case ANGEL_TQ2_0: angel_unpack_two_bits(packed, block); break;
    case ANGEL_Q3_K:
      angel_unpack_two_bits(packed + 64, block);
      angel_add_high_bits(packed, 2, block);
      break;
    case ANGEL_IQ4_NL:
    case ANGEL_IQ4_XS:
      angel_unpack_nibbles(packed, block);
      angel_look_up_nibbles(block);
      break;
    case ANGEL_Q4_0_2OF4:
    case ANGEL_Q8_0_2OF4: angel_unpack_two_of_four(dtype, packed, block); break;
    default: angel_unpack_nibbles(packed, block); break;
  }
}

// The float32 values of a block: values[element][lane].
ANGEL_INLINE void angel_dequantize_block(
  struct angel_geometry geometry, const struct angel_block *block, float values[ANGEL_BLOCK][ANGEL_PANEL]) {
  for (int element = 0; element < ANGEL_BLOCK; element++) {
    for (int lane = 0; lane < ANGEL_PANEL; lane++) {
      uint32_t four;
      memcpy(&four, &block->q[element / 4][4 * lane], 4);
      const float quant = (float)((int32_t)(four >> 8 * (element % 4) & 255) - geometry.offset);
      float value;
      switch (geometry.kind) {
        case ANGEL_OFFSET_BLOCK: value = block->d[lane] * quant; break;
        case ANGEL_MINIMUM_BLOCK: value = block->d[lane] * quant + block->minimum[lane]; break;
        case ANGEL_HALVES_BLOCK: value = block->d[lane] * (float)block->scale[element / 16][lane] * quant; break;
        case ANGEL_MINIMA_BLOCK: {
          const uint32_t both = block->scales_and_mins[lane] >> 16 * (element / 16);
          value = block->d[lane] * (float)(both & 15) * quant + block->negative_dmin[lane] * (float)(both >> 4 & 15);
          break;
        }
      }
      values[element][lane] = value;
    }
  }
}
