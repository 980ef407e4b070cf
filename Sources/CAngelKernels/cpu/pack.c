// pack: weight rows as a file stores them -> panels of 16 rows (pack.h). One function per format packs one group of one
// lane; panels are cleared first, so padding lanes are zero rows.
#include "pack.h"

#include "pack_low_bits.h"

// Packs one group (a block as the file stores it) into lane `lane` of the panel group at `group`.
typedef void (*pack_group)(const uint8_t *source, uint8_t *group, int lane);

static void pack_q4_0(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source, 2);
  pack_nibbles(source + 2, group + 32, lane);
}

static void pack_q4_1(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source, 2);
  memcpy(group + 32 + 2 * lane, source + 2, 2);
  pack_nibbles(source + 4, group + 64, lane);
}

static void pack_five_bits(const uint8_t *high_and_low, uint8_t *packed, int lane) {
  uint32_t high;
  memcpy(&high, high_and_low, 4);
  pack_high_bits(high, packed, lane);
  pack_nibbles(high_and_low + 4, packed + 64, lane);
}

static void pack_q5_0(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source, 2);
  pack_five_bits(source + 2, group + 32, lane);
}

static void pack_q5_1(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source, 2);
  memcpy(group + 32 + 2 * lane, source + 2, 2);
  pack_five_bits(source + 4, group + 64, lane);
}

static void pack_q8_0(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source, 2);
  for (int e = 0; e < 32; e++) group[32 + 64 * (e / 4) + 4 * lane + e % 4] = source[2 + e] ^ 0x80;
}

// Twelve bytes of eight 6-bit scales and minima -> one byte each.
static void pack_k_scales(const uint8_t *packed, uint8_t *group, int lane) {
  for (int s = 0; s < 8; s++) {
    const int scale = s < 4 ? packed[s] & 63 : (packed[s + 4] & 15) | packed[s - 4] >> 6 << 4;
    const int minimum = s < 4 ? packed[s + 4] & 63 : packed[s + 4] >> 4 | packed[s] >> 6 << 4;
    group[64 + 16 * s + lane] = (uint8_t)scale;
    group[192 + 16 * s + lane] = (uint8_t)minimum;
  }
}

// Sub-blocks 2i and 2i+1 are the low and the high nibbles of source bytes 32i ..< 32i+32.
static void repack_k_nibbles(const uint8_t *source, int sub_block, uint8_t *packed, int lane) {
  const uint8_t *bytes = source + 32 * (sub_block / 2);
  const int shift = 4 * (sub_block % 2);
  uint8_t nibbles[16];
  for (int e = 0; e < 16; e++) {
    nibbles[e] = (uint8_t)((bytes[e] >> shift & 15) | (bytes[16 + e] >> shift & 15) << 4);
  }
  pack_nibbles(nibbles, packed, lane);
}

static void pack_q4_K(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source, 2);
  memcpy(group + 32 + 2 * lane, source + 2, 2);
  pack_k_scales(source + 4, group, lane);
  for (int s = 0; s < 8; s++) repack_k_nibbles(source + 16, s, group + 320 + 256 * s, lane);
}

static void pack_q5_K(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source, 2);
  memcpy(group + 32 + 2 * lane, source + 2, 2);
  pack_k_scales(source + 4, group, lane);
  for (int s = 0; s < 8; s++) {
    uint8_t *packed = group + 320 + 320 * s;
    uint32_t high = 0;
    for (int e = 0; e < 32; e++) high |= (uint32_t)(source[16 + e] >> s & 1) << e;
    pack_high_bits(high, packed, lane);
    repack_k_nibbles(source + 48, s, packed + 64, lane);
  }
}

static void pack_q6_K(const uint8_t *source, uint8_t *group, int lane) {
  const uint8_t *high = source + 128, *scales = source + 192;
  memcpy(group + 2 * lane, source + 208, 2);
  for (int s = 0; s < 16; s++) group[32 + 16 * s + lane] = scales[s];
  for (int b = 0; b < 8; b++) {
    uint8_t *packed = group + 288 + 384 * b;
    const int half = b / 4, quarter = b % 4;
    const uint8_t *low_bytes = source + 64 * half + 32 * (quarter % 2), *high_bytes = high + 32 * half;
    for (int e = 0; e < 32; e++) {
      const int low = low_bytes[e] >> 4 * (quarter / 2) & 15, top = high_bytes[e] >> 2 * quarter & 3;
      const int g = e / 4, at = 4 * lane + e % 4;
      packed[64 * (g % 4) + at] |= (uint8_t)(low << 4 * (g / 4));
      packed[256 + 64 * (g / 4) + at] |= (uint8_t)(top << 2 * (g % 4));
    }
  }
}

// Packs the panel at `panel` group by group; `source_group_bytes` is a block's size in the file.
ANGEL_INLINE void pack_blocks(
  const struct angel_pack_arguments *a, int32_t part, int32_t parts, angel_dtype dtype, int64_t source_group_bytes,
  pack_group pack) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const int64_t groups = a->depth / (geometry.blocks * ANGEL_BLOCK), group_bytes = angel_group_bytes(geometry);
  const struct angel_range panels = angel_part_range((a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL, part, parts);
  for (int64_t panel = panels.begin; panel < panels.end; panel++) {
    uint8_t *target = (uint8_t *)a->target + panel * groups * group_bytes;
    memset(target, 0, (size_t)(groups * group_bytes));
    for (int64_t g = 0; g < groups; g++) {
      for (int lane = 0; lane < ANGEL_PANEL && panel * ANGEL_PANEL + lane < a->columns; lane++) {
        const int64_t column = panel * ANGEL_PANEL + lane;
        const int64_t row = a->row_order ? a->row_order[column] : column;
        pack((const uint8_t *)a->source + (row * groups + g) * source_group_bytes, target + g * group_bytes, lane);
      }
    }
  }
}

// Element size 4: [K][16]; element size 2: [K/2][16][2]. Both keep 4 bytes per lane.
ANGEL_INLINE void pack_dense(const struct angel_pack_arguments *a, int32_t part, int32_t parts, angel_dtype dtype) {
  const int64_t size = dtype == ANGEL_F32 ? 4 : 2, per_step = 4 / size;
  const int64_t steps = (a->depth + per_step - 1) / per_step;
  const struct angel_range panels = angel_part_range((a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL, part, parts);
  for (int64_t panel = panels.begin; panel < panels.end; panel++) {
    uint8_t *target = (uint8_t *)a->target + panel * steps * 4 * ANGEL_PANEL;
    memset(target, 0, (size_t)(steps * 4 * ANGEL_PANEL));
    for (int lane = 0; lane < ANGEL_PANEL && panel * ANGEL_PANEL + lane < a->columns; lane++) {
      const int64_t column = panel * ANGEL_PANEL + lane;
      const int64_t row = a->row_order ? a->row_order[column] : column;
      const uint8_t *source = (const uint8_t *)a->source + row * a->depth * size;
      for (int64_t k = 0; k < a->depth / per_step; k++) {
        memcpy(target + (k * ANGEL_PANEL + lane) * 4, source + 4 * k, 4);
      }
      if (a->depth % per_step) {
        memcpy(target + ((steps - 1) * ANGEL_PANEL + lane) * 4, source + (a->depth - 1) * size, (size_t)size);
      }
    }
  }
}

#define DENSE(name, dtype)                                                          \
  static void pack_rows_##name(const void *arguments, int32_t part, int32_t parts) { \
    pack_dense(arguments, part, parts, dtype);                                      \
  }
#define BLOCKS(name, dtype, bytes)                                                  \
  static void pack_rows_##name(const void *arguments, int32_t part, int32_t parts) { \
    pack_blocks(arguments, part, parts, dtype, bytes, pack_##name);                 \
  }
DENSE(f32, ANGEL_F32)
DENSE(f16, ANGEL_F16)
BLOCKS(q4_0, ANGEL_Q4_0, 18)
BLOCKS(q4_1, ANGEL_Q4_1, 20)
BLOCKS(q5_0, ANGEL_Q5_0, 22)
BLOCKS(q5_1, ANGEL_Q5_1, 24)
BLOCKS(q8_0, ANGEL_Q8_0, 34)
BLOCKS(q4_K, ANGEL_Q4_K, 144)
BLOCKS(q5_K, ANGEL_Q5_K, 176)
BLOCKS(q6_K, ANGEL_Q6_K, 210)
BLOCKS(q2_K, ANGEL_Q2_K, 84)
BLOCKS(q3_K, ANGEL_Q3_K, 110)
BLOCKS(iq4_xs, ANGEL_IQ4_XS, 136)
BLOCKS(tq1_0, ANGEL_TQ1_0, 54)
BLOCKS(tq2_0, ANGEL_TQ2_0, 66)

int64_t angel_packed_bytes(angel_dtype dtype, int64_t columns, int64_t depth) {
  if (columns < 0 || depth < 0) return -1;
  int64_t panel_bytes, bytes;
  // A panel never holds more than 64 bytes per element of depth plus padding.
  if (depth > (INT64_MAX >> 8) || (panel_bytes = angel_panel_bytes(dtype, depth)) < 0) return -1;
  const int64_t panels = columns / ANGEL_PANEL + (columns % ANGEL_PANEL != 0);
  return __builtin_mul_overflow(panels, panel_bytes, &bytes) ? -1 : bytes;
}

angel_kernel angel_pack_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype weight, [[maybe_unused]] angel_dtype second,
  [[maybe_unused]] angel_dtype third) {
  switch (weight) {
    case ANGEL_F32: return pack_rows_f32;
    case ANGEL_F16:
    case ANGEL_BF16: return pack_rows_f16;
    case ANGEL_Q4_0:
    case ANGEL_IQ4_NL: return pack_rows_q4_0;
    case ANGEL_Q4_1: return pack_rows_q4_1;
    case ANGEL_Q5_0: return pack_rows_q5_0;
    case ANGEL_Q5_1: return pack_rows_q5_1;
    case ANGEL_Q8_0: return pack_rows_q8_0;
    case ANGEL_Q4_K: return pack_rows_q4_K;
    case ANGEL_Q5_K: return pack_rows_q5_K;
    case ANGEL_Q6_K: return pack_rows_q6_K;
    case ANGEL_Q2_K: return pack_rows_q2_K;
    case ANGEL_Q3_K: return pack_rows_q3_K;
    case ANGEL_IQ4_XS: return pack_rows_iq4_xs;
    case ANGEL_TQ1_0: return pack_rows_tq1_0;
    case ANGEL_TQ2_0: return pack_rows_tq2_0;
    default: return NULL;
  }
}
