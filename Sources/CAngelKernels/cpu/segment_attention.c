// segment_attention in float32 (segment_attention.h).
#include <math.h>

#include "paged_attention.h"
#include "segment_tiles.h"
#include "variants.h"

// Sixteen query rows of one head, and what they have gathered so far.
struct forward_tile {
  struct segment_tile at;
  struct angel_range seen[tile_rows];
  // Of the current split, and of the splits before it.
  float maximum[tile_rows], sum[tile_rows], merged_maximum[tile_rows], merged_sum[tile_rows];
  _Alignas(64) float weights[tile_rows * tile_rows];
  _Alignas(64) float rows[tile_rows * ANGEL_SEGMENT_HEAD_LIMIT];
  _Alignas(64) float queries[tile_rows * ANGEL_SEGMENT_HEAD_LIMIT];  // transposed
  _Alignas(64) float keys[tile_rows * ANGEL_SEGMENT_HEAD_LIMIT];     // transposed
  _Alignas(64) float outputs[tile_rows * ANGEL_SEGMENT_HEAD_LIMIT];
  _Alignas(64) float merged[tile_rows * ANGEL_SEGMENT_HEAD_LIMIT];
};

// Scores of one row and block -> weights, updating the row's running maximum, sum and output.
ANGEL_INLINE void weigh(
  struct forward_tile *t, const struct angel_segment_attention_shape *s, int64_t i, int64_t base, int64_t width) {
  float *weights = t->weights + i * tile_rows;
  if (i >= t->at.count || t->seen[i].begin >= base + tile_rows || t->seen[i].end <= base) {
    f32x16_store(weights, f32x16_splat(0));
    return;
  }
  const f32x16 scores = tile_scores(s, f32x16_load(weights), t->seen[i], base);
  const float block_maximum = f32x16_maximum(scores), old = t->maximum[i];
  const float maximum = old > block_maximum ? old : block_maximum;
  const f32x16 lanes = f32x16_exp(scores - maximum);
  f32x16_store(weights, lanes);
  const float sum = f32x16_sum(lanes);
  if (maximum == old) {
    t->sum[i] += sum;
    return;
  }
  const float correction = f32_exp(old - maximum);
  t->maximum[i] = maximum;
  t->sum[i] = t->sum[i] * correction + sum;
  float *outputs = t->outputs + i * width;
  for (int64_t d = 0; d < width; d += 16) f32x16_store(outputs + d, f32x16_load(outputs + d) * correction);
}

ANGEL_INLINE void merge(struct forward_tile *t, int64_t i, int64_t width) {
  float *merged = t->merged + i * width;
  const float *outputs = t->outputs + i * width;
  if (t->merged_sum[i] == 0) {
    t->merged_maximum[i] = t->maximum[i], t->merged_sum[i] = t->sum[i];
    for (int64_t d = 0; d < width; d++) merged[d] = outputs[d];
    return;
  }
  const float old = t->merged_maximum[i], maximum = old > t->maximum[i] ? old : t->maximum[i];
  const float before = f32_exp(old - maximum), now = f32_exp(t->maximum[i] - maximum);
  t->merged_maximum[i] = maximum;
  t->merged_sum[i] = __builtin_fmaf(t->sum[i], now, t->merged_sum[i] * before);
  for (int64_t d = 0; d < width; d++) merged[d] = __builtin_fmaf(outputs[d], now, merged[d] * before);
}

// Blocks [block, stop) of one split.
ANGEL_INLINE void attend_split(
  struct forward_tile *t, const struct angel_segment_attention_arguments *a, int64_t kv_head, int64_t width,
  int64_t block, int64_t stop, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &a->shape;
  for (int64_t i = 0; i < tile_rows; i++) t->maximum[i] = -INFINITY, t->sum[i] = 0;
  for (int64_t i = 0; i < tile_rows * width; i++) t->outputs[i] = 0;
  for (; block < stop; block++) {
    const int64_t base = block * tile_rows, row = t->at.start + base;
    const int64_t count = t->at.end - row < tile_rows ? t->at.end - row : tile_rows;
    tile_load(t->rows, a->keys, s->kv_heads, kv_head, s->head_size, width, row, count);
    tile_transpose(t->keys, t->rows, width);
    tile_dots(t->queries, t->keys, width, t->weights, isa);
    for (int64_t i = 0; i < tile_rows; i++) weigh(t, s, i, base, width);
    tile_load(t->rows, a->values, s->kv_heads, kv_head, s->head_size, width, row, count);
    tile_add(t->weights, t->rows, width, t->outputs, isa);
  }
}

ANGEL_INLINE void attend_tile(
  struct forward_tile *t, const struct angel_segment_attention_arguments *a, int64_t head, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t size = s->head_size, width = (size + 15) / 16 * 16, kv_head = head / (s->heads / s->kv_heads);
  const int64_t length = t->at.end - t->at.start, first_row = t->at.start + t->at.first;
  tile_load(t->rows, a->queries, s->heads, head, size, width, first_row, t->at.count);
  tile_transpose(t->queries, t->rows, width);
  int64_t begin = length, end = 0;
  for (int64_t i = 0; i < t->at.count; i++) {
    t->seen[i] = segment_visible(s, t->at.first + i, length);
    t->merged_sum[i] = 0;
    begin = t->seen[i].begin < begin ? t->seen[i].begin : begin;
    end = t->seen[i].end > end ? t->seen[i].end : end;
  }
  const int64_t split_blocks = ANGEL_SPLIT_TOKENS / tile_rows, last = (end + tile_rows - 1) / tile_rows;
  for (int64_t block = begin / tile_rows; block < last;) {
    const int64_t split_end = (block / split_blocks + 1) * split_blocks, stop = split_end < last ? split_end : last;
    attend_split(t, a, kv_head, width, block, stop, isa);
    for (int64_t i = 0; i < t->at.count; i++) {
      if (t->seen[i].begin < stop * tile_rows && t->seen[i].end > block * tile_rows) merge(t, i, width);
    }
    block = stop;
  }
  for (int64_t i = 0; i < t->at.count; i++) {
    const int64_t place = (first_row + i) * s->heads + head;
    for (int64_t d = 0; d < size; d++) a->output[place * size + d] = t->merged[i * width + d] / t->merged_sum[i];
    if (a->logsumexp != NULL) a->logsumexp[place] = t->merged_maximum[i] + logf(t->merged_sum[i]);
  }
}

ANGEL_INLINE void segment_attention_tiles(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  const struct angel_segment_attention_arguments *a = arguments;
  struct forward_tile t;
  const int64_t tiles = segment_tiles(&a->shape);
  const struct angel_range units = angel_part_range(tiles * a->shape.heads, part, parts);
  for (int64_t unit = units.begin; unit < units.end; unit++) {
    t.at = segment_tile_at(&a->shape, unit % tiles);
    attend_tile(&t, a, unit / tiles, isa);
  }
}
ANGEL_VARIANTS(segment_attention, segment_attention_tiles)

angel_kernel angel_segment_attention_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? segment_attention_variant(isa) : NULL;
}
