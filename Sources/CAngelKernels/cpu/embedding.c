// embedding: one lane of the packed panels, dequantised (embedding.h) by
// the same float32 steps as in matmul.
#include "embedding.h"

#include "panels.h"

static float half_at(const uint8_t *halves, int lane) {
  uint16_t half;
  memcpy(&half, halves + 2 * lane, 2);
  return angel_float_of_half(half);
}

// The same where two of four are kept, and the others are zeros.
ANGEL_INLINE int kept_quant(angel_dtype dtype, const uint8_t *packed, int e, int lane) {
  const int is_wide = dtype == ANGEL_Q8_0_2OF4, g = e / 8;
  for (int i = e / 4 % 2 * 2, end = i + 2; i < end; i++) {
    const int at = 4 * lane + i;
    if ((packed[(is_wide ? 256 : 128) + at] >> 2 * g & 3) != e % 4) continue;
    return is_wide ? packed[64 * g + at] ^ 128 : packed[64 * (g % 2) + at] >> 4 * (g / 2) & 15;
  }
  return is_wide ? 128 : 8;
}

// Quant `e` of `lane` in the 32-block whose bytes start at `packed`.
ANGEL_INLINE int quant_at(angel_dtype dtype, const uint8_t *packed, int e, int lane) {
  const int g = e / 4, at = 4 * lane + e % 4;
  if (dtype == ANGEL_Q8_0) return packed[64 * g + at];
  if (dtype == ANGEL_Q8_0_2OF4 || dtype == ANGEL_Q4_0_2OF4) return kept_quant(dtype, packed, e, lane);
  const int has_fifth = dtype == ANGEL_Q5_0 || dtype == ANGEL_Q5_1 || dtype == ANGEL_Q5_K;
  const uint8_t *nibbles = packed + (has_fifth ? 64 : 0);
  if (dtype == ANGEL_Q2_K || dtype == ANGEL_Q3_K || dtype == ANGEL_TQ2_0) {
    const int low = packed[(dtype == ANGEL_Q3_K ? 64 : 0) + 64 * (g / 4) + at] >> 2 * (g % 4) & 3;
    return dtype == ANGEL_Q3_K ? low | (packed[8 * g + at / 8] >> at % 8 & 1) << 2 : low;
  }
  int quant = nibbles[64 * (g % 4) + at] >> 4 * (g / 4) & 15;
  if (has_fifth) quant |= (packed[8 * g + at / 8] >> at % 8 & 1) << 4;
  if (dtype == ANGEL_Q6_K) quant |= (packed[256 + 64 * (g / 4) + at] >> 2 * (g % 4) & 3) << 4;
  if (dtype == ANGEL_IQ4_NL || dtype == ANGEL_IQ4_XS) quant = angel_iq4_values[quant];
  return quant;
}

ANGEL_INLINE void dequantize_lane(
  angel_dtype dtype, const uint8_t *group, int index, int lane, float values[ANGEL_BLOCK]) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const uint8_t *packed = group + geometry.header_bytes + index * geometry.block_bytes;
  const float d = half_at(group, lane);
  float scale[2] = {d, d}, minimum[2] = {0, 0};
  if (dtype == ANGEL_Q4_1 || dtype == ANGEL_Q5_1) minimum[0] = minimum[1] = half_at(group + 32, lane);
  if (dtype == ANGEL_Q4_K || dtype == ANGEL_Q5_K) {
    const uint8_t *scales = group + 64 + index * ANGEL_PANEL;
    scale[0] = scale[1] = d * (float)scales[lane];
    minimum[0] = minimum[1] = -(half_at(group + 32, lane) * (float)scales[128 + lane]);
  }
  if (dtype == ANGEL_Q6_K || dtype == ANGEL_Q3_K) {
    const int8_t *scales = (const int8_t *)group + 32 + index * 2 * ANGEL_PANEL;
    scale[0] = d * (float)scales[lane];
    scale[1] = d * (float)scales[ANGEL_PANEL + lane];
  }
  if (dtype == ANGEL_IQ4_XS) {
    scale[0] = scale[1] = d * (float)((const int8_t *)group)[32 + index * ANGEL_PANEL + lane];
  }
  for (int half = 0; dtype == ANGEL_Q2_K && half < 2; half++) {
    const uint8_t both = group[64 + (2 * index + half) * ANGEL_PANEL + lane];
    scale[half] = d * (float)(both & 15);
    minimum[half] = -(half_at(group + 32, lane) * (float)(both >> 4));
  }
  for (int e = 0; e < ANGEL_BLOCK; e++) {
    const float value = scale[e / 16] * (float)(quant_at(dtype, packed, e, lane) - geometry.offset);
    const int has_minimum = geometry.kind == ANGEL_MINIMUM_BLOCK || geometry.kind == ANGEL_MINIMA_BLOCK;
    values[e] = has_minimum ? value + minimum[e / 16] : value;
  }
}

ANGEL_INLINE void embed_blocks(
  const struct angel_embedding_arguments *a, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const int64_t blocks = a->depth / ANGEL_BLOCK, panel_bytes = angel_panel_bytes(dtype, a->depth);
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const uint8_t *panel = (const uint8_t *)a->weight + a->tokens[row] / ANGEL_PANEL * panel_bytes;
    const int lane = a->tokens[row] % ANGEL_PANEL;
    for (int64_t b = 0; b < blocks; b++) {
      const uint8_t *group = panel + b / geometry.blocks * angel_group_bytes(geometry);
      dequantize_lane(dtype, group, (int)(b % geometry.blocks), lane, a->output + row * a->depth + b * ANGEL_BLOCK);
    }
  }
}

static void embed_bf16_2of4(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_embedding_arguments *a = arguments;
  const int64_t panel_bytes = angel_panel_bytes(ANGEL_BF16_2OF4, a->depth);
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const uint8_t *block = (const uint8_t *)a->weight + a->tokens[row] / ANGEL_PANEL * panel_bytes;
    const int lane = a->tokens[row] % ANGEL_PANEL;
    float *output = a->output + row * a->depth;
    for (int64_t k = 0; k < a->depth; k += ANGEL_BLOCK, block += 576) {
      float values[ANGEL_BLOCK][ANGEL_PANEL];
      angel_widen_two_of_four(block, values);
      for (int e = 0; e < ANGEL_BLOCK; e++) output[k + e] = values[e][lane];
    }
  }
}

ANGEL_INLINE void embed_dense(
  const struct angel_embedding_arguments *a, int32_t part, int32_t parts, angel_dtype dtype) {
  const int64_t panel_bytes = angel_panel_bytes(dtype, a->depth);
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const uint8_t *panel = (const uint8_t *)a->weight + a->tokens[row] / ANGEL_PANEL * panel_bytes;
    const int lane = a->tokens[row] % ANGEL_PANEL;
    float *output = a->output + row * a->depth;
    for (int64_t k = 0; k < a->depth; k++) {
      if (dtype == ANGEL_F32) {
        memcpy(&output[k], panel + (k * ANGEL_PANEL + lane) * 4, 4);
        continue;
      }
      uint16_t half;
      memcpy(&half, panel + (k / 2 * ANGEL_PANEL + lane) * 4 + k % 2 * 2, 2);
      output[k] = dtype == ANGEL_F16 ? angel_float_of_half(half) : angel_float_of_bfloat(half);
    }
  }
}

#define EMBED(name, dtype, how)                                                      \
  static void embed_##name(const void *arguments, int32_t part, int32_t parts) { \
    how(arguments, part, parts, dtype);                                              \
  }
EMBED(f32, ANGEL_F32, embed_dense)
EMBED(f16, ANGEL_F16, embed_dense)
EMBED(bf16, ANGEL_BF16, embed_dense)
EMBED(q4_0, ANGEL_Q4_0, embed_blocks)
EMBED(q4_1, ANGEL_Q4_1, embed_blocks)
EMBED(q5_0, ANGEL_Q5_0, embed_blocks)
EMBED(q5_1, ANGEL_Q5_1, embed_blocks)
EMBED(q8_0, ANGEL_Q8_0, embed_blocks)
EMBED(q4_K, ANGEL_Q4_K, embed_blocks)
EMBED(q5_K, ANGEL_Q5_K, embed_blocks)
EMBED(q6_K, ANGEL_Q6_K, embed_blocks)
EMBED(q2_K, ANGEL_Q2_K, embed_blocks)
EMBED(q3_K, ANGEL_Q3_K, embed_blocks)
EMBED(iq4_nl, ANGEL_IQ4_NL, embed_blocks)
EMBED(iq4_xs, ANGEL_IQ4_XS, embed_blocks)
EMBED(tq2_0, ANGEL_TQ2_0, embed_blocks)
EMBED(q4_0_2of4, ANGEL_Q4_0_2OF4, embed_blocks)
EMBED(q8_0_2of4, ANGEL_Q8_0_2OF4, embed_blocks)

angel_kernel angel_embedding_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype weight, [[maybe_unused]] angel_dtype second,
  [[maybe_unused]] angel_dtype third) {
  switch (weight) {
    case ANGEL_F32: return embed_f32;
    case ANGEL_F16: return embed_f16;
    case ANGEL_BF16: return embed_bf16;
    case ANGEL_Q4_0: return embed_q4_0;
    case ANGEL_Q4_1: return embed_q4_1;
    case ANGEL_Q5_0: return embed_q5_0;
    case ANGEL_Q5_1: return embed_q5_1;
    case ANGEL_Q8_0: return embed_q8_0;
    case ANGEL_Q4_K: return embed_q4_K;
    case ANGEL_Q5_K: return embed_q5_K;
    case ANGEL_Q6_K: return embed_q6_K;
    case ANGEL_Q2_K: return embed_q2_K;
    case ANGEL_Q3_K: return embed_q3_K;
    case ANGEL_IQ4_NL: return embed_iq4_nl;
    case ANGEL_IQ4_XS: return embed_iq4_xs;
    case ANGEL_TQ1_0:
    case ANGEL_TQ2_0: return embed_tq2_0;
    case ANGEL_Q4_0_2OF4: return embed_q4_0_2of4;
    case ANGEL_Q8_0_2OF4: return embed_q8_0_2of4;
    case ANGEL_BF16_2OF4: return embed_bf16_2of4;
    default: return NULL;
  }
}
