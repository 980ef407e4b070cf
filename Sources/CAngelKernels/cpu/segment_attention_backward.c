// segment_attention_backward in float32 (segment_attention.h).
//
// Scores are made again tile by tile, from logsumexp. Two kinds of units write apart from each other and need nothing of
// one another: sixteen rows of dq of one query head, and sixteen rows of dk and dv of one kv head.
#include "segment_tiles.h"
#include "variants.h"

enum { tile_floats = tile_rows * ANGEL_SEGMENT_HEAD_LIMIT };

// A tile of query rows and one of key rows, and what is made from the two.
struct backward_tiles {
  _Alignas(64) float queries[tile_floats], gradients[tile_floats];  // rows
  _Alignas(64) float keys[tile_floats], values[tile_floats];        // rows
  _Alignas(64) float queries_down[tile_floats], gradients_down[tile_floats];  // transposed
  _Alignas(64) float keys_down[tile_floats], values_down[tile_floats];        // transposed
  _Alignas(64) float first[tile_floats], second[tile_floats];                 // sums
  _Alignas(64) float probabilities[tile_rows * tile_rows], scores[tile_rows * tile_rows];  // [query][key]
  float logsumexp[tile_rows], deltas[tile_rows];
  struct angel_range seen[tile_rows];
};

ANGEL_INLINE int64_t width_of(const struct angel_segment_attention_shape *s) { return (s->head_size + 15) / 16 * 16; }

ANGEL_INLINE void load_queries(
  struct backward_tiles *t, const struct angel_segment_attention_backward_arguments *a, struct segment_tile at,
  int64_t head) {
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t size = s->head_size, width = width_of(s), row = at.start + at.first;
  // The outputs are needed for the deltas only; their room is that of the transposed queries.
  tile_load(t->queries_down, a->output, s->heads, head, size, width, row, at.count);
  tile_load(t->gradients, a->gradient, s->heads, head, size, width, row, at.count);
  for (int64_t i = 0; i < at.count; i++) {
    f32x16 sums = f32x16_splat(0);
    for (int64_t d = 0; d < width; d += 16) {
      sums = f32x16_fma(
        f32x16_load(t->gradients + i * width + d), f32x16_load(t->queries_down + i * width + d), sums);
    }
    t->deltas[i] = f32x16_sum(sums);
    t->logsumexp[i] = a->logsumexp[(row + i) * s->heads + head];
    t->seen[i] = segment_visible(s, at.first + i, at.end - at.start);
  }
  tile_load(t->queries, a->queries, s->heads, head, size, width, row, at.count);
  tile_transpose(t->queries_down, t->queries, width);
  tile_transpose(t->gradients_down, t->gradients, width);
}

ANGEL_INLINE void load_keys(
  struct backward_tiles *t, const struct angel_segment_attention_backward_arguments *a, struct segment_tile at,
  int64_t kv_head) {
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t size = s->head_size, width = width_of(s), row = at.start + at.first;
  tile_load(t->keys, a->keys, s->kv_heads, kv_head, size, width, row, at.count);
  tile_load(t->values, a->values, s->kv_heads, kv_head, size, width, row, at.count);
  tile_transpose(t->keys_down, t->keys, width);
  tile_transpose(t->values_down, t->values, width);
}

// Probabilities p and score gradients ds of the two tiles; zero where a row does not see.
ANGEL_INLINE void differentiate_scores(
  struct backward_tiles *t, const struct angel_segment_attention_shape *s, int64_t rows, int64_t base, angel_isa isa) {
  const int64_t width = width_of(s);
  tile_dots(t->queries_down, t->keys_down, width, t->probabilities, isa);
  tile_dots(t->gradients_down, t->values_down, width, t->scores, isa);
  for (int64_t i = 0; i < tile_rows; i++) {
    float *probabilities = t->probabilities + i * tile_rows, *scores = t->scores + i * tile_rows;
    if (i >= rows) {
      f32x16_store(probabilities, f32x16_splat(0));
      f32x16_store(scores, f32x16_splat(0));
      continue;
    }
    const f32x16 seen = tile_scores(s, f32x16_load(probabilities), t->seen[i], base);
    const f32x16 weights = f32x16_exp(seen - t->logsumexp[i]);
    f32x16 slopes = weights * (f32x16_load(scores) - t->deltas[i]);
    if (s->softcap > 0) {
      const f32x16 relative = seen / s->softcap;
      const f32x16 capped = slopes * (1.0f - relative * relative);
      slopes = weights > 0 ? capped : f32x16_splat(0);
    }
    f32x16_store(probabilities, weights);
    f32x16_store(scores, slopes);
  }
}

ANGEL_INLINE void clear(float *tile, int64_t width) {
  for (int64_t i = 0; i < tile_rows * width; i++) tile[i] = 0;
}

ANGEL_INLINE void store(
  const float *tile, float scale, float *target, int64_t heads, int64_t head, int64_t size, int64_t width, int64_t row,
  int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    float *to = target + ((row + i) * heads + head) * size;
    for (int64_t d = 0; d < size; d++) to[d] = tile[i * width + d] * scale;
  }
}

// Whether any of the rows of a tile sees a block.
ANGEL_INLINE int sees_block(
  const struct angel_segment_attention_shape *s, struct segment_tile rows, int64_t base) {
  const int64_t length = rows.end - rows.start;
  const struct angel_range first = segment_visible(s, rows.first, length);
  const struct angel_range last = segment_visible(s, rows.first + rows.count - 1, length);
  return first.begin < base + tile_rows && last.end > base;
}

ANGEL_INLINE void query_unit(
  struct backward_tiles *t, const struct angel_segment_attention_backward_arguments *a, struct segment_tile at,
  int64_t head, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t width = width_of(s), length = at.end - at.start;
  load_queries(t, a, at, head);
  clear(t->first, width);
  for (int64_t base = 0; base < length; base += tile_rows) {
    if (!sees_block(s, at, base)) continue;
    const int64_t count = length - base < tile_rows ? length - base : tile_rows;
    const struct segment_tile keys = {.start = at.start, .end = at.end, .first = base, .count = count};
    load_keys(t, a, keys, head / (s->heads / s->kv_heads));
    differentiate_scores(t, s, at.count, base, isa);
    tile_add(t->scores, t->keys, width, t->first, isa);
  }
  store(
    t->first, s->scale, a->query_gradient, s->heads, head, s->head_size, width, at.start + at.first, at.count);
}

ANGEL_INLINE void key_unit(
  struct backward_tiles *t, const struct angel_segment_attention_backward_arguments *a, struct segment_tile at,
  int64_t kv_head, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t width = width_of(s), length = at.end - at.start, group = s->heads / s->kv_heads;
  load_keys(t, a, at, kv_head);
  clear(t->first, width);
  clear(t->second, width);
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
    for (int64_t base = 0; base < length; base += tile_rows) {
      const int64_t count = length - base < tile_rows ? length - base : tile_rows;
      const struct segment_tile rows = {.start = at.start, .end = at.end, .first = base, .count = count};
      if (!sees_block(s, rows, at.first)) continue;
      load_queries(t, a, rows, head);
      differentiate_scores(t, s, count, at.first, isa);
      float turned[tile_rows * tile_rows];
      tile_transpose(turned, t->scores, tile_rows);
      tile_add(turned, t->queries, width, t->first, isa);
      tile_transpose(turned, t->probabilities, tile_rows);
      tile_add(turned, t->gradients, width, t->second, isa);
    }
  }
  const int64_t row = at.start + at.first;
  store(t->first, s->scale, a->key_gradient, s->kv_heads, kv_head, s->head_size, width, row, at.count);
  store(t->second, 1, a->value_gradient, s->kv_heads, kv_head, s->head_size, width, row, at.count);
}

ANGEL_INLINE void backward_units(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  const struct angel_segment_attention_backward_arguments *a = arguments;
  struct backward_tiles t;
  const int64_t tiles = segment_tiles(&a->shape), queries = tiles * a->shape.heads;
  const struct angel_range units = angel_part_range(queries + tiles * a->shape.kv_heads, part, parts);
  for (int64_t unit = units.begin; unit < units.end; unit++) {
    const struct segment_tile at = segment_tile_at(&a->shape, unit % tiles);
    if (unit < queries) query_unit(&t, a, at, unit / tiles, isa);
    else key_unit(&t, a, at, (unit - queries) / tiles, isa);
  }
}
ANGEL_VARIANTS(segment_attention_backward, backward_units)

angel_kernel angel_segment_attention_backward_kernel(
  angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? segment_attention_backward_variant(isa) : NULL;
}
