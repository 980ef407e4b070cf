// Tiles of sixteen rows for segment_attention: where they lie, what they see, and the two products they are made of.
#pragma once
#include "segment_attention.h"
#include "vector_math.h"

enum { tile_rows = 16 };

// A tile of rows of one sequence; `width` is head_size rounded up to whole vectors.
struct segment_tile {
  int64_t start, end;  // of the sequence
  int64_t first;       // position of the first row in the sequence, a multiple of 16
  int64_t count;       // rows of the tile
};

static inline int64_t segment_tiles(const struct angel_segment_attention_shape *s) {
  int64_t tiles = 0;
  for (int64_t i = 0; i < s->segments; i++) tiles += (s->bounds[i + 1] - s->bounds[i] + tile_rows - 1) / tile_rows;
  return tiles;
}

static inline struct segment_tile segment_tile_at(const struct angel_segment_attention_shape *s, int64_t index) {
  for (int64_t i = 0;; i++) {
    const int64_t length = s->bounds[i + 1] - s->bounds[i], tiles = (length + tile_rows - 1) / tile_rows;
    if (index >= tiles) {
      index -= tiles;
      continue;
    }
    const int64_t first = index * tile_rows, left = length - first;
    return (struct segment_tile){
      .start = s->bounds[i], .end = s->bounds[i + 1], .first = first, .count = left < tile_rows ? left : tile_rows};
  }
}

// The positions that position `row` of a sequence of `length` sees.
static inline struct angel_range segment_visible(
  const struct angel_segment_attention_shape *s, int64_t row, int64_t length) {
  struct angel_range seen = {0, s->causal ? row + 1 : length};
  if (s->window > 0 && row - s->window + 1 > 0) seen.begin = row - s->window + 1;
  if (s->window > 0 && row + s->window < seen.end) seen.end = row + s->window;
  return seen;
}

// Rows of [rows, heads, head_size] as [16][width], padded with zeros.
ANGEL_INLINE void tile_load(
  float *tile, const float *source, int64_t heads, int64_t head, int64_t size, int64_t width, int64_t row,
  int64_t count) {
  for (int64_t i = 0; i < tile_rows; i++, tile += width) {
    for (int64_t d = 0; d < width; d++) tile[d] = 0;
    if (i < count) __builtin_memcpy(tile, source + ((row + i) * heads + head) * size, sizeof(float) * (size_t)size);
  }
}

ANGEL_INLINE void tile_transpose(float *target, const float *tile, int64_t width) {
  for (int64_t d = 0; d < width; d++) {
    for (int64_t i = 0; i < tile_rows; i++) target[d * tile_rows + i] = tile[i * width + d];
  }
}

// products[i][j] = sum_d left[d][i] right[d][j], d ascending from 0; both are transposed tiles of `depth` rows.
ANGEL_INLINE void tile_dots_strip(
  const float *left, const float *right, int64_t depth, float *products, const int count) {
  f32x16 sums[tile_rows];
#pragma clang loop unroll(full)
  for (int i = 0; i < count; i++) sums[i] = f32x16_splat(0);
  for (int64_t d = 0; d < depth; d++) {
    const f32x16 lanes = f32x16_load(right + d * tile_rows);
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) sums[i] = f32x16_fma(f32x16_splat(left[d * tile_rows + i]), lanes, sums[i]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count; i++) f32x16_store(products + i * tile_rows, sums[i]);
}
ANGEL_INLINE void tile_dots(
  const float *left, const float *right, int64_t depth, float *products, angel_isa isa) {
  if (isa >= ANGEL_ISA_AVX512) return tile_dots_strip(left, right, depth, products, tile_rows);
  for (int i = 0; i < tile_rows; i += 4) tile_dots_strip(left + i, right, depth, products + i * tile_rows, 4);
}

// sums[i] += weights[i][t] * rows[t], t ascending, for 16 tile rows i of `width` elements.
ANGEL_INLINE void tile_add_strip(
  const float *weights, const float *rows, int64_t width, float *sums, const int count, const int vectors) {
  f32x16 lanes[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < count * vectors; i++) {
    lanes[i] = f32x16_load(sums + (i / vectors) * width + (i % vectors) * 16);
  }
  for (int t = 0; t < tile_rows; t++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < count * vectors; i++) {
      const f32x16 weight = f32x16_splat(weights[(i / vectors) * tile_rows + t]);
      lanes[i] = f32x16_fma(weight, f32x16_load(rows + t * width + (i % vectors) * 16), lanes[i]);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count * vectors; i++) {
    f32x16_store(sums + (i / vectors) * width + (i % vectors) * 16, lanes[i]);
  }
}
ANGEL_INLINE void tile_add(const float *weights, const float *rows, int64_t width, float *sums, angel_isa isa) {
  for (int64_t i = 0; i < tile_rows; i += 4) {
    int64_t d = 0;
    if (isa >= ANGEL_ISA_AVX512) {
      for (; d + 64 <= width; d += 64) {
        tile_add_strip(weights + i * tile_rows, rows + d, width, sums + i * width + d, 4, 4);
      }
    }
    for (; d < width; d += 16) tile_add_strip(weights + i * tile_rows, rows + d, width, sums + i * width + d, 4, 1);
  }
}

// Scaled and capped scores of one row against a block that begins at `base`, -inf where the row does not see.
ANGEL_INLINE f32x16 tile_scores(
  const struct angel_segment_attention_shape *s, f32x16 dots, struct angel_range seen, int64_t base) {
  f32x16 scores = dots * s->scale;
  if (s->softcap > 0) scores = s->softcap * f32x16_tanh(scores / s->softcap);
  const i32x16 token = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const int64_t from = seen.begin - base, to = seen.end - base;
  const int32_t first = from < 0 ? 0 : from > 16 ? 16 : (int32_t)from, last = to < 0 ? 0 : to > 16 ? 16 : (int32_t)to;
  const i32x16 sees = (token >= first) & (token < last);
  return sees ? scores : f32x16_splat(-__builtin_inff());
}
