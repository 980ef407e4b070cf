// arrange_panels and arrange_rows (arrange.h). Sixteen lines at a time; a block of 16 x 16 words (f32, or pairs of bf16)
// is turned in registers where lines and depth trade places.
// Zen 4, one thread, CPU time, shared machine: of a bfloat16 product of 1,024 rows of GPT-2's shapes, arranging takes
// 3 to 8 %, of a float32 one 2 to 3 %.
#include "arrange.h"

#include <string.h>

#include "lanes.h"
#include "quantize_rows.h"
#include "variants.h"

enum { LINES = 16, WORDS = 16 };

// One step of a 16 x 16 transposition: words whose index differs in the bit `half` trade places between two registers.
#define TRADE(half, a, b)                                                                                        \
  do {                                                                                                           \
    const u32x16 low = a, high = b;                                                                              \
    a = half == 8   ? __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) \
        : half == 4 ? __builtin_shufflevector(low, high, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) \
        : half == 2 ? __builtin_shufflevector(low, high, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) \
                    : __builtin_shufflevector(low, high, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30); \
    b = half == 8   ? __builtin_shufflevector(low, high, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31) \
        : half == 4 ? __builtin_shufflevector(low, high, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31) \
        : half == 2 ? __builtin_shufflevector(low, high, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31) \
                    : __builtin_shufflevector(low, high, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31); \
  } while (0)

ANGEL_INLINE void transpose(u32x16 words[16]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) TRADE(8, words[i], words[i + 8]);
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) {
    if (!(i & 4)) TRADE(4, words[i], words[i + 4]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) {
    if (!(i & 2)) TRADE(2, words[i], words[i + 2]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 2) TRADE(1, words[i], words[i + 1]);
}

ANGEL_INLINE u16x16 load_halves(const void *source, int64_t at, angel_dtype dtype, angel_isa isa) {
  if (dtype == ANGEL_F32) return u16x16_from(f32x16_load((const float *)source + at), ANGEL_BF16, isa);
  u16x16 halves;
  memcpy(&halves, (const uint16_t *)source + at, sizeof halves);
  return halves;
}

ANGEL_INLINE u32x16 load_words(const void *source, int64_t at, angel_dtype dtype, angel_isa isa) {
  const char *address = (const char *)source + at * (dtype == ANGEL_F32 ? 4 : 2);
  return f32x16_bits(f32x16_from(address, dtype, isa));
}

// Words `word` ..< word + 16 of lines `line` ..< line + 16, by line when `by_line`, else by word. All lie in the matrix.
ANGEL_INLINE void load_block(
  const struct angel_arrange_arguments *a, int64_t line, int64_t word, angel_dtype dtype, const int is_pairs,
  const int by_line, angel_isa isa, u32x16 words[16]) {
  const int is_contiguous = a->depth_stride == 1;
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) {
    if (is_contiguous) {
      const int64_t at = (line + i) * a->line_stride + word * (is_pairs ? 2 : 1);
      if (!is_pairs) {
        words[i] = load_words(a->source, at, dtype, isa);
      } else {
        const u16x16 halves[2] = {
          load_halves(a->source, at, dtype, isa), load_halves(a->source, at + 16, dtype, isa)};
        memcpy(&words[i], halves, sizeof words[i]);
      }
    } else if (!is_pairs) {
      words[i] = load_words(a->source, line + (word + i) * a->depth_stride, dtype, isa);
    } else {
      const int64_t at = line + 2 * (word + i) * a->depth_stride;
      const u32x16 even = __builtin_convertvector(load_halves(a->source, at, dtype, isa), u32x16);
      const u32x16 odd = __builtin_convertvector(load_halves(a->source, at + a->depth_stride, dtype, isa), u32x16);
      words[i] = even | odd << 16;
    }
  }
  if (is_contiguous != by_line) transpose(words);
}

// The same at the edges of the matrix: what lies outside is zero.
static void load_edge(
  const struct angel_arrange_arguments *a, int64_t line, int64_t word, angel_dtype dtype, int is_pairs, int by_line,
  uint32_t words[16][16]) {
  memset(words, 0, 16 * sizeof words[0]);
  for (int64_t i = 0; i < LINES && line + i < a->lines; i++) {
    for (int64_t w = 0; w < WORDS; w++) {
      uint32_t value = 0;
      for (int half = 0; half < (is_pairs ? 2 : 1); half++) {
        const int64_t k = is_pairs ? 2 * (word + w) + half : word + w;
        if (k >= a->depth) continue;
        const int64_t at = (line + i) * a->line_stride + k * a->depth_stride;
        if (dtype == ANGEL_BF16) {
          const uint32_t bits = ((const uint16_t *)a->source)[at];
          value = is_pairs ? value | bits << 16 * half : bits << 16;
        } else {
          const float number = ((const float *)a->source)[at];
          value = is_pairs ? value | (uint32_t)angel_bf16_from_f32(number) << 16 * half : angel_f32_bits(number);
        }
      }
      words[by_line ? i : w][by_line ? w : i] = value;
    }
  }
}

ANGEL_INLINE void get_block(
  const struct angel_arrange_arguments *a, int64_t line, int64_t word, angel_dtype dtype, const int is_pairs,
  const int by_line, angel_isa isa, u32x16 words[16]) {
  const int64_t last = is_pairs ? 2 * (word + WORDS) : word + WORDS;
  if (line + LINES <= a->lines && last <= a->depth) {
    load_block(a, line, word, dtype, is_pairs, by_line, isa, words);
  } else {
    uint32_t edge[16][16];
    load_edge(a, line, word, dtype, is_pairs, by_line, edge);
    memcpy(words, edge, sizeof edge);
  }
}

ANGEL_INLINE void panels(
  const void *arguments, int32_t part, int32_t parts, angel_dtype dtype, const int is_pairs, angel_isa isa) {
  const struct angel_arrange_arguments *a = arguments;
  const int64_t count = is_pairs ? (a->depth + 1) / 2 : a->depth;
  const struct angel_range own = angel_part_range((a->lines + LINES - 1) / LINES, part, parts);
  for (int64_t panel = own.begin; panel < own.end; panel++) {
    uint8_t *target = (uint8_t *)a->target + panel * count * 64;
    for (int64_t word = 0; word < count; word += WORDS) {
      u32x16 words[16];
      get_block(a, panel * LINES, word, dtype, is_pairs, 0, isa, words);
      const int64_t left = count - word < WORDS ? count - word : WORDS;
      memcpy(target + word * 64, words, (size_t)left * 64);
    }
  }
}

ANGEL_INLINE void rows(
  const void *arguments, int32_t part, int32_t parts, angel_dtype dtype, const int is_pairs, angel_isa isa) {
  const struct angel_arrange_arguments *a = arguments;
  const int64_t row_bytes = is_pairs ? angel_bf16_row_bytes(a->depth) : a->depth * 4, count = row_bytes / 4;
  const struct angel_range own = angel_part_range((a->lines + LINES - 1) / LINES, part, parts);
  for (int64_t line = own.begin * LINES; line < own.end * LINES && line < a->lines; line += LINES) {
    const int64_t lines = a->lines - line < LINES ? a->lines - line : LINES;
    for (int64_t word = 0; word < count; word += WORDS) {
      u32x16 words[16];
      get_block(a, line, word, dtype, is_pairs, 1, isa, words);
      const int64_t left = count - word < WORDS ? count - word : WORDS;
      for (int64_t i = 0; i < lines; i++) {
        memcpy((uint8_t *)a->target + (line + i) * row_bytes + word * 4, &words[i], (size_t)left * 4);
      }
    }
  }
}

#define BODY(kind, name, dtype, is_pairs)                                                                     \
  ANGEL_INLINE void kind##_##name(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {        \
    kind(arguments, part, parts, dtype, is_pairs, isa);                                                       \
  }                                                                                                           \
  ANGEL_VARIANTS(kind##_##name, kind##_##name)
#define BODIES(kind)                      \
  BODY(kind, f32_f32, ANGEL_F32, 0)       \
  BODY(kind, bf16_f32, ANGEL_BF16, 0)     \
  BODY(kind, f32_bf16, ANGEL_F32, 1)      \
  BODY(kind, bf16_bf16, ANGEL_BF16, 1)
BODIES(panels)
BODIES(rows)

angel_kernel angel_arrange_panels_kernel(angel_isa isa, angel_dtype source, angel_dtype target, angel_dtype third) {
  if (third != ANGEL_NO_DTYPE) return NULL;
  if (source == ANGEL_F32 && target == ANGEL_F32) return panels_f32_f32_variant(isa);
  if (source == ANGEL_F32 && target == ANGEL_BF16) return panels_f32_bf16_variant(isa);
  if (source == ANGEL_BF16 && target == ANGEL_F32) return panels_bf16_f32_variant(isa);
  if (source == ANGEL_BF16 && target == ANGEL_BF16) return panels_bf16_bf16_variant(isa);
  return NULL;
}

angel_kernel angel_arrange_rows_kernel(angel_isa isa, angel_dtype source, angel_dtype target, angel_dtype third) {
  if (third != ANGEL_NO_DTYPE) return NULL;
  if (source == ANGEL_F32 && target == ANGEL_F32) return rows_f32_f32_variant(isa);
  if (source == ANGEL_F32 && target == ANGEL_BF16_ROWS) return rows_f32_bf16_variant(isa);
  if (source == ANGEL_BF16 && target == ANGEL_F32) return rows_bf16_f32_variant(isa);
  if (source == ANGEL_BF16 && target == ANGEL_BF16_ROWS) return rows_bf16_bf16_variant(isa);
  return NULL;
}
