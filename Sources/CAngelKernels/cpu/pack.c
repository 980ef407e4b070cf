// pack: weight rows as a file stores them -> panels of 16 rows (pack.h), for formats that rearrange bits; the others are
// in pack_words.c. One function per format packs one group of one lane; where it does not write every byte, panels are
// cleared first, so that padding lanes are zero rows.
//
// Quants move in words of four or eight bytes: one core of a Zen 4 VM, CPU time, GB/s of source, before (byte by byte)
// -> after: q4_K 1.4 -> 6.1, q5_K 0.9 -> 2.3, q6_K 0.4 -> 2.7.
#include "pack.h"

#include "pack_low_bits.h"
#include "pack_words.h"
#include "quads.h"

// Packs one group (a block as the file stores it) into lane `lane` of the panel group at `group`.
typedef void (*pack_group)(const uint8_t *source, uint8_t *group, int lane);

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

// Twelve bytes of eight 6-bit scales and minima -> one byte each.
static void pack_k_scales(const uint8_t *packed, uint8_t *group, int lane) {
  for (int s = 0; s < 8; s++) {
    const int scale = s < 4 ? packed[s] & 63 : (packed[s + 4] & 15) | packed[s - 4] >> 6 << 4;
    const int minimum = s < 4 ? packed[s + 4] & 63 : packed[s + 4] >> 4 | packed[s] >> 6 << 4;
    group[64 + 16 * s + lane] = (uint8_t)scale;
    group[192 + 16 * s + lane] = (uint8_t)minimum;
  }
}

// The low (shift 0) or high (4) nibbles of 32 bytes.
static void repack_nibbles(const uint8_t *bytes, int shift, uint8_t *packed, int lane) {
  const uint32_t low_nibbles = 0x0f0f0f0f;
  for (int j = 0; j < 4; j++) {
    uint32_t first, second;
    memcpy(&first, bytes + 4 * j, 4);
    memcpy(&second, bytes + 16 + 4 * j, 4);
    const uint32_t both = (first >> shift & low_nibbles) | (second >> shift & low_nibbles) << 4;
    memcpy(packed + 64 * j + 4 * lane, &both, 4);
  }
}

// Sub-blocks 2i and 2i+1 are the low and the high nibbles of source bytes 32i ..< 32i+32.
static void repack_k_nibbles(const uint8_t *source, int sub_block, uint8_t *packed, int lane) {
  repack_nibbles(source + 32 * (sub_block / 2), 4 * (sub_block % 2), packed, lane);
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
    for (int i = 0; i < 4; i++) {
      uint64_t bytes;
      memcpy(&bytes, source + 16 + 8 * i, 8);
      // Bit s of eight bytes, side by side in the top byte of the product.
      const uint64_t bits = (bytes >> s & 0x0101010101010101) * 0x0102040810204080;
      high |= (uint32_t)(bits >> 56) << 8 * i;
    }
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
    repack_nibbles(source + 64 * half + 32 * (quarter % 2), 4 * (quarter / 2), packed, lane);
    for (int i = 0; i < 2; i++) {
      uint32_t top = 0;
      for (int j = 0; j < 4; j++) {
        uint32_t bytes;
        memcpy(&bytes, high + 32 * half + 16 * i + 4 * j, 4);
        top |= (bytes >> 2 * quarter & 0x03030303) << 2 * j;
      }
      memcpy(packed + 256 + 64 * i + 4 * lane, &top, 4);
    }
  }
}

// Which elements of `quad` are kept, and their places in it.
ANGEL_INLINE const uint8_t *kept_of(angel_dtype dtype, const uint8_t *block, int quad) {
  return angel_kept_places[angel_nonzero_of_quad(dtype, block, quad)];
}

static void pack_q8_0_2of4(const uint8_t *source, uint8_t *group, int lane) {
  uint32_t places = 0;
  memcpy(group + 2 * lane, source, 2);
  for (int quad = 0; quad < 8; quad++) {
    const uint8_t *kept = kept_of(ANGEL_Q8_0, source, quad);
    for (int i = 0; i < 2; i++) {
      const int at = 2 * (quad % 2) + i;
      group[32 + 64 * (quad / 2) + 4 * lane + at] = source[2 + 4 * quad + kept[i]];
      places |= (uint32_t)kept[i] << (8 * at + 2 * (quad / 2));
    }
  }
  memcpy(group + 288 + 4 * lane, &places, 4);
}

static void pack_q4_0_2of4(const uint8_t *source, uint8_t *group, int lane) {
  uint32_t places = 0, quants[2] = {0};
  memcpy(group + 2 * lane, source, 2);
  for (int quad = 0; quad < 8; quad++) {
    const uint8_t *kept = kept_of(ANGEL_Q4_0, source, quad), *nibbles = source + 2 + 4 * (quad % 4);
    const int g = quad / 2;
    for (int i = 0; i < 2; i++) {
      const int at = 2 * (quad % 2) + i;
      quants[g % 2] |= (uint32_t)(nibbles[kept[i]] >> 4 * (quad / 4) & 15) << (8 * at + 4 * (g / 2));
      places |= (uint32_t)kept[i] << (8 * at + 2 * g);
    }
  }
  for (int j = 0; j < 2; j++) memcpy(group + 32 + 64 * j + 4 * lane, &quants[j], 4);
  memcpy(group + 160 + 4 * lane, &places, 4);
}

static void pack_bf16_2of4(const uint8_t *source, uint8_t *group, int lane) {
  uint32_t places = 0;
  for (int quad = 0; quad < 8; quad++) {
    const uint8_t *kept = kept_of(ANGEL_BF16, source, quad);
    // 1 before 0 and 3 before 2.
    const int first = kept[0] / 2 == kept[1] / 2;
    for (int i = 0; i < 2; i++) {
      const uint8_t place = kept[i ^ first];
      memcpy(group + 64 * quad + 4 * lane + 2 * i, source + 8 * quad + 2 * place, 2);
      places |= (uint32_t)place << (4 * quad + 2 * i);
    }
  }
  memcpy(group + 512 + 4 * lane, &places, 4);
}

// Packs panels group by group; `source_group_bytes` is a block's size in the file. A format that ORs bits into place
// needs cleared panels; the others only where lanes are padding.
ANGEL_INLINE void pack_blocks(
  const struct angel_pack_arguments *a, int32_t part, int32_t parts, angel_dtype dtype, int64_t source_group_bytes,
  pack_group pack, const int is_cleared) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const int64_t groups = a->depth / (geometry.blocks * ANGEL_BLOCK), group_bytes = angel_group_bytes(geometry);
  const struct angel_range panels = angel_part_range((a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL, part, parts);
  for (int64_t panel = panels.begin; panel < panels.end; panel++) {
    uint8_t *target = (uint8_t *)a->target + panel * groups * group_bytes;
    if (is_cleared || (panel + 1) * ANGEL_PANEL > a->columns) memset(target, 0, (size_t)(groups * group_bytes));
    for (int64_t g = 0; g < groups; g++) {
      for (int lane = 0; lane < ANGEL_PANEL && panel * ANGEL_PANEL + lane < a->columns; lane++) {
        const int64_t column = panel * ANGEL_PANEL + lane;
        const int64_t row = a->row_order ? a->row_order[column] : column;
        pack((const uint8_t *)a->source + (row * groups + g) * source_group_bytes, target + g * group_bytes, lane);
      }
    }
  }
}

#define BLOCKS(name, dtype, bytes, is_cleared)                                      \
  static void pack_rows_##name(const void *arguments, int32_t part, int32_t parts) { \
    pack_blocks(arguments, part, parts, dtype, bytes, pack_##name, is_cleared);     \
  }
BLOCKS(q5_0, ANGEL_Q5_0, 22, 1)
BLOCKS(q5_1, ANGEL_Q5_1, 24, 1)
BLOCKS(q4_K, ANGEL_Q4_K, 144, 0)
BLOCKS(q5_K, ANGEL_Q5_K, 176, 1)
BLOCKS(q6_K, ANGEL_Q6_K, 210, 0)
BLOCKS(q2_K, ANGEL_Q2_K, 84, 1)
BLOCKS(q3_K, ANGEL_Q3_K, 110, 1)
BLOCKS(iq4_xs, ANGEL_IQ4_XS, 136, 0)
BLOCKS(tq1_0, ANGEL_TQ1_0, 54, 1)
BLOCKS(tq2_0, ANGEL_TQ2_0, 66, 1)
BLOCKS(q4_0_2of4, ANGEL_Q4_0_2OF4, 18, 0)
BLOCKS(q8_0_2of4, ANGEL_Q8_0_2OF4, 34, 0)
BLOCKS(bf16_2of4, ANGEL_BF16_2OF4, 64, 0)

int64_t angel_packed_bytes(angel_dtype dtype, int64_t columns, int64_t depth) {
  if (columns < 0 || depth < 0) return -1;
  int64_t panel_bytes, bytes;
  // A panel never holds more than 64 bytes per element of depth plus padding.
  if (depth > (INT64_MAX >> 8) || (panel_bytes = angel_panel_bytes(dtype, depth)) < 0) return -1;
  const int64_t panels = columns / ANGEL_PANEL + (columns % ANGEL_PANEL != 0);
  return __builtin_mul_overflow(panels, panel_bytes, &bytes) ? -1 : bytes;
}

angel_kernel angel_pack_kernel(
  angel_isa isa, angel_dtype weight, [[maybe_unused]] angel_dtype second, [[maybe_unused]] angel_dtype third) {
  switch (weight) {
    case ANGEL_Q5_0: return pack_rows_q5_0;
    case ANGEL_Q5_1: return pack_rows_q5_1;
    case ANGEL_Q4_K: return pack_rows_q4_K;
    case ANGEL_Q5_K: return pack_rows_q5_K;
    case ANGEL_Q6_K: return pack_rows_q6_K;
    case ANGEL_Q2_K: return pack_rows_q2_K;
    case ANGEL_Q3_K: return pack_rows_q3_K;
    case ANGEL_IQ4_NL: return angel_pack_words_kernel(isa, ANGEL_Q4_0);
    case ANGEL_IQ4_XS: return pack_rows_iq4_xs;
    case ANGEL_TQ1_0: return pack_rows_tq1_0;
    case ANGEL_TQ2_0: return pack_rows_tq2_0;
    case ANGEL_Q4_0_2OF4: return pack_rows_q4_0_2of4;
    case ANGEL_Q8_0_2OF4: return pack_rows_q8_0_2of4;
    case ANGEL_BF16_2OF4: return pack_rows_bf16_2of4;
    default: return angel_pack_words_kernel(isa, weight);
  }
}
