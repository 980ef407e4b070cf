// pack of the dense formats and of q4_0, q4_1 and q8_0, whose quants keep their place in words of four bytes: word w of
// sixteen rows becomes line w of a panel, a transposition of words.
//
// One core of a Zen 4 VM, CPU time, GB/s of source, before (a word or byte at a time) -> after: f32 3.7 -> 8.8,
// bf16 3.9 -> 7.2, q4_0 6.1 -> 11, q4_1 4.4 -> 11, q8_0 1.0 -> 6.3 (shared machine, both sides out of cache).
#include "pack_words.h"

#include "lanes.h"
#include "pack.h"
#include "variants.h"

typedef uint32_t u32x4 __attribute__((ext_vector_type(4)));
typedef uint32_t u32x8 __attribute__((ext_vector_type(8)));

// What a row holds, again and again: some f16 numbers, then words.
struct layout {
  int32_t halves, words;
  uint32_t flip;  // bits of every word that are stored inverted
};

// The rows of a panel; lanes of padding repeat the last row and keep nothing.
struct panel_rows {
  const uint8_t *row[ANGEL_PANEL];
  u32x16 kept;
};

ANGEL_INLINE struct panel_rows rows_of(const struct angel_pack_arguments *a, int64_t panel, int64_t row_bytes) {
  struct panel_rows rows;
  for (int lane = 0; lane < ANGEL_PANEL; lane++) {
    const int64_t column = panel * ANGEL_PANEL + lane, last = a->columns - 1;
    const int64_t valid = column < last ? column : last;
    rows.row[lane] = (const uint8_t *)a->source + (a->row_order ? a->row_order[valid] : valid) * row_bytes;
    rows.kept[lane] = column <= last ? UINT32_MAX : 0;
  }
  return rows;
}

ANGEL_INLINE u32x4 load_four(const uint8_t *source) {
  u32x4 words;
  __builtin_memcpy(&words, source, sizeof words);
  return words;
}

// Four words of rows lane, lane+4, lane+8 and lane+12.
ANGEL_INLINE u32x16 load_every_fourth(const struct panel_rows *rows, int64_t at, int lane) {
  const u32x4 a = load_four(rows->row[lane] + at), b = load_four(rows->row[lane + 4] + at);
  const u32x4 c = load_four(rows->row[lane + 8] + at), d = load_four(rows->row[lane + 12] + at);
  const u32x8 ab = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
  const u32x8 cd = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

// Words 0 and 1, or 2 and 3, of each quarter of two vectors, in turn.
#define ANGEL_LOW_WORDS(a, b) \
  __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define ANGEL_HIGH_WORDS(a, b) \
  __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define ANGEL_LOW_PAIRS(a, b) \
  __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define ANGEL_HIGH_PAIRS(a, b) \
  __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)

ANGEL_INLINE void store_line(uint8_t *target, u32x16 words, uint32_t flip, u32x16 kept) {
  words = (words ^ flip) & kept;
  __builtin_memcpy(target, &words, sizeof words);
}

// Four words of every row, from byte `at` on, become four lines.
ANGEL_INLINE void pack_four_lines(const struct panel_rows *rows, int64_t at, uint32_t flip, uint8_t *target) {
  const u32x16 a = load_every_fourth(rows, at, 0), b = load_every_fourth(rows, at, 1);
  const u32x16 c = load_every_fourth(rows, at, 2), d = load_every_fourth(rows, at, 3);
  const u32x16 ab = ANGEL_LOW_WORDS(a, b), cd = ANGEL_LOW_WORDS(c, d);
  const u32x16 ab_high = ANGEL_HIGH_WORDS(a, b), cd_high = ANGEL_HIGH_WORDS(c, d);
  store_line(target, ANGEL_LOW_PAIRS(ab, cd), flip, rows->kept);
  store_line(target + 64, ANGEL_HIGH_PAIRS(ab, cd), flip, rows->kept);
  store_line(target + 128, ANGEL_LOW_PAIRS(ab_high, cd_high), flip, rows->kept);
  store_line(target + 192, ANGEL_HIGH_PAIRS(ab_high, cd_high), flip, rows->kept);
}

// One or two f16 numbers of every row; sixteen bytes are there to be read.
ANGEL_INLINE void pack_halves(const struct panel_rows *rows, int64_t at, int32_t halves, uint8_t *target) {
  const u32x16 a = load_every_fourth(rows, at, 0), b = load_every_fourth(rows, at, 1);
  const u32x16 c = load_every_fourth(rows, at, 2), d = load_every_fourth(rows, at, 3);
  const u32x16 ab = ANGEL_LOW_WORDS(a, b), cd = ANGEL_LOW_WORDS(c, d);
  const u32x16 words = ANGEL_LOW_PAIRS(ab, cd) & rows->kept;
  const u16x16 first = __builtin_convertvector(words & 0xffff, u16x16);
  __builtin_memcpy(target, &first, sizeof first);
  if (halves == 2) {
    const u16x16 second = __builtin_convertvector(words >> 16, u16x16);
    __builtin_memcpy(target + 32, &second, sizeof second);
  }
}

// Words that do not fill four lines, and the bytes after the last whole word; the rest of that line is zero.
ANGEL_INLINE void pack_rest(const struct panel_rows *rows, int64_t at, int64_t end, uint8_t *target) {
  for (; at < end; at += 4, target += 64) {
    for (int lane = 0; lane < ANGEL_PANEL; lane++) {
      uint32_t word = 0;
      __builtin_memcpy(&word, rows->row[lane] + at, (size_t)(end - at < 4 ? end - at : 4));
      word &= rows->kept[lane];
      __builtin_memcpy(target + 4 * lane, &word, 4);
    }
  }
}

ANGEL_INLINE void pack_blocks(
  const void *arguments, int32_t part, int32_t parts, const struct layout layout) {
  const struct angel_pack_arguments *a = arguments;
  const int64_t block_bytes = 2 * layout.halves + 4 * layout.words, packed_bytes = 16 * block_bytes;
  const int64_t blocks = a->depth / 32;
  const struct angel_range panels = angel_part_range((a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL, part, parts);
  for (int64_t panel = panels.begin; panel < panels.end; panel++) {
    const struct panel_rows rows = rows_of(a, panel, blocks * block_bytes);
    uint8_t *target = (uint8_t *)a->target + panel * blocks * packed_bytes;
    for (int64_t b = 0; b < blocks; b++, target += packed_bytes) {
      const int64_t at = b * block_bytes;
      pack_halves(&rows, at, layout.halves, target);
      for (int32_t w = 0; w < layout.words; w += 4) {
        pack_four_lines(
          &rows, at + 2 * layout.halves + 4 * w, layout.flip, target + 32 * layout.halves + 64 * w);
      }
    }
  }
}

ANGEL_INLINE void pack_dense(const void *arguments, int32_t part, int32_t parts, int64_t element_bytes) {
  const struct angel_pack_arguments *a = arguments;
  const int64_t row_bytes = a->depth * element_bytes, lines = (row_bytes + 3) / 4;
  const struct angel_range panels = angel_part_range((a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL, part, parts);
  for (int64_t panel = panels.begin; panel < panels.end; panel++) {
    const struct panel_rows rows = rows_of(a, panel, row_bytes);
    uint8_t *target = (uint8_t *)a->target + panel * lines * 64;
    int64_t at = 0;
    for (; at + 16 <= row_bytes; at += 16) pack_four_lines(&rows, at, 0, target + 16 * at);
    pack_rest(&rows, at, row_bytes, target + 16 * at);
  }
}

#define BODY(name, call)                                                                                         \
  ANGEL_INLINE void pack_##name(                                                                                 \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                        \
    call;                                                                                                        \
  }                                                                                                              \
  ANGEL_VARIANTS(pack_##name, pack_##name)
BODY(words, pack_dense(arguments, part, parts, 4))
BODY(half_words, pack_dense(arguments, part, parts, 2))
BODY(q4_0, pack_blocks(arguments, part, parts, ((struct layout){1, 4, 0})))
BODY(q4_1, pack_blocks(arguments, part, parts, ((struct layout){2, 4, 0})))
BODY(q8_0, pack_blocks(arguments, part, parts, ((struct layout){1, 8, 0x80808080})))

angel_kernel angel_pack_words_kernel(angel_isa isa, angel_dtype weight) {
  switch (weight) {
    case ANGEL_F32: return pack_words_variant(isa);
    case ANGEL_F16:
    case ANGEL_BF16: return pack_half_words_variant(isa);
    case ANGEL_Q4_0: return pack_q4_0_variant(isa);
    case ANGEL_Q4_1: return pack_q4_1_variant(isa);
    case ANGEL_Q8_0: return pack_q8_0_variant(isa);
    default: return NULL;
  }
}
