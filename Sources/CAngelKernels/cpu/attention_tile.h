// A tile of paged_attention and segment_attention: query vectors that read the same keys and values (rows of one sequence,
// query heads of one kv head), and the arithmetic of one group of positions. Tiles only decide what shares a load or a
// conversion.
#pragma once
#include <math.h>

#include "attention_strips.h"

enum {
  tile_queries = 192,        // query vectors of a tile, at most
  tile_strips = 32,          // strips of a tile, at most
  tile_floats = 12288,       // room for the query vectors of a tile
  batch_strips = 8,          // strips that go over a group's keys, then over its values: these stay in the L1 cache
  direct_strips = 2,         // tiles of so few strips read the cache as it is, others a float32 copy of each group
  converted_elements = 128,  // of head_size in that copy at a time
};

// The keys and values of one sequence and kv head: in blocks of a cache, or in rows one after the other.
struct attention_source {
  angel_dtype dtype;
  const char *keys, *values;  // of position 0; of a cache: to which the offset of a block is added
  const int64_t *blocks;      // offsets of a cache's blocks, NULL for rows
  int64_t stride, length;     // of rows: elements from one to the next, and how many there are
};

struct attention_tile {
  struct attention_source source;
  int64_t size, width;                             // of a head; rounded up to whole vectors
  float scale, softcap;
  int64_t row, rows, head, heads;                  // rows of one sequence x heads of one kv head
  int64_t count;                                   // query vectors
  int64_t strips, strip_count;                     // strips, and query vectors of each but the last
  int64_t begin[tile_queries], end[tile_queries];  // visible positions of each query
  int64_t ahead_end;                               // positions before this one may be fetched ahead
  // Of the current split, sixteen lanes a strip.
  _Alignas(64) float maximum[tile_strips * 16];
  _Alignas(64) float sum[tile_strips * 16];
  // Of one batch of strips and one group: the corrections; scores, then weights; the unmasked tokens of each query.
  _Alignas(64) float corrections[batch_strips * 16];
  _Alignas(64) float weights[batch_strips * strip_queries * ANGEL_GROUP_TOKENS];
  int64_t from[batch_strips * 16], to[batch_strips * 16];
  _Alignas(64) float queries[tile_floats + 16];                 // [count][head_size], scaled
  _Alignas(64) float outputs[tile_floats + 16 * tile_queries];  // [count][width] of the current split
  _Alignas(64) float keys[converted_elements * ANGEL_GROUP_TOKENS];
  _Alignas(64) float values[converted_elements * ANGEL_GROUP_TOKENS];
};

// A group of blocks, by its first position, and which of its blocks some query of the tile sees.
struct attention_group {
  int64_t base, first, last;
};

ANGEL_INLINE int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

// The blocks first ..< last of a group that hold its tokens from ..< to.
ANGEL_INLINE int64_t first_block(int64_t from) { return from / ANGEL_BLOCK_TOKENS; }
ANGEL_INLINE int64_t last_block(int64_t to) { return (to + ANGEL_BLOCK_TOKENS - 1) / ANGEL_BLOCK_TOKENS; }

// Query vectors of strip `s`.
ANGEL_INLINE int64_t strip_size(const struct attention_tile *t, int64_t s) {
  const int64_t left = t->count - s * t->strip_count;
  return left < t->strip_count ? left : t->strip_count;
}

// The factor of queries: weights are powers of two.
static inline float query_factor(float scale, float softcap) { return softcap > 0 ? scale : scale * 0x1.715476p+0f; }

// Takes the tile's rows and heads of queries [rows, heads, head_size].
ANGEL_INLINE void load_queries(
  struct attention_tile *t, const void *queries, int64_t heads, angel_dtype dtype, angel_isa isa) {
  const int64_t row_elements = heads * t->size, element = cache_element(dtype);
  for (int64_t r = 0; r < t->rows; r++) {
    const char *row = (const char *)queries + ((t->row + r) * row_elements + t->head * t->size) * element;
    convert_run(row, t->heads * t->size, t->queries + r * t->heads * t->size, dtype, isa);
  }
  const float factor = query_factor(t->scale, t->softcap);
  if (t->source.dtype == ANGEL_Q4_0) {
    for (int64_t q = 0; q < t->count; q++) rotate_head(t->queries + q * t->size, t->size);
  }
  for (int64_t i = 0; i < t->count * t->size; i++) t->queries[i] *= factor;
}

// The group's rows as they lie in the cache, from element `from` of head_size on.
ANGEL_INLINE struct cache_rows cached_rows(
  const struct attention_tile *t, struct attention_group g, int64_t from, int values) {
  const int64_t *blocks = t->source.blocks + g.base / ANGEL_BLOCK_TOKENS;
  const angel_dtype cache = t->source.dtype;
  const int64_t offset = is_bundled(cache) ? from / bundle_elements * bundle_bytes(cache)
                                           : from * (values ? 1 : ANGEL_BLOCK_TOKENS) * cache_element(cache);
  const char *start = (values ? t->source.values : t->source.keys) + offset;
  struct cache_rows rows = {.stride = values ? t->size : ANGEL_BLOCK_TOKENS};
  for (int64_t b = g.first; b < g.last; b++) {
    const int64_t next = b + group_blocks;
    rows.blocks[b] = start + blocks[b];
    rows.next[b] = g.base + next * ANGEL_BLOCK_TOKENS < t->ahead_end ? start + blocks[next] : rows.blocks[b];
  }
  return rows;
}

// Rows base ..< base + 16 as a block of a float32 cache: keys transposed, elements from ..< from + count.
ANGEL_INLINE void convert_block(
  const struct attention_source *source, int64_t base, int64_t from, int64_t count, int values, float *room,
  angel_isa isa) {
  const int64_t left = source->length - base, rows = left < ANGEL_BLOCK_TOKENS ? left : ANGEL_BLOCK_TOKENS;
  const char *start = (values ? source->values : source->keys)
    + (base * source->stride + from) * cache_element(source->dtype);
  if (values) {
    convert_rows(start, source->stride, rows, count, room, (count + 15) / 16 * 16, source->dtype, isa);
    return;
  }
  for (int64_t d = 0; d < count; d += 16, room += 16 * ANGEL_BLOCK_TOKENS) {
    const char *square = start + d * cache_element(source->dtype);
    if (rows == 16 && count - d >= 16 && source->dtype == ANGEL_F32) {
      transpose_square(square, source->stride, room, ANGEL_BLOCK_TOKENS, ANGEL_F32, isa);
    } else if (rows == 16 && count - d >= 16 && source->dtype == ANGEL_BF16) {
      transpose_square(square, source->stride, room, ANGEL_BLOCK_TOKENS, ANGEL_BF16, isa);
    } else {
      _Alignas(64) float padded[16 * 16] = {0};
      convert_rows(square, source->stride, rows, count - d < 16 ? count - d : 16, padded, 16, source->dtype, isa);
      transpose_square(padded, 16, room, ANGEL_BLOCK_TOKENS, ANGEL_F32, isa);
    }
  }
}

// The group's rows as float32, as blocks of a cache: the cache itself where it can be read so, else a copy, made anew when
// `convert` is set.
// Elements from ..< from + count of head_size.
ANGEL_INLINE struct cache_rows float_rows(
  struct attention_tile *t, struct attention_group g, int64_t from, int64_t count, int values, int convert,
  angel_isa isa) {
  const angel_dtype cache = t->source.dtype;
  const int in_blocks = t->source.blocks != NULL;
  struct cache_rows cached = {.stride = 0};
  if (in_blocks) cached = cached_rows(t, g, from, values);
  if (in_blocks && cache == ANGEL_F32 && (!values || t->size % 16 == 0)) return cached;
  // Keys [block][count][16], values [block][16][count rounded up]: dense, so that they spread over the L1 cache's sets.
  const int64_t width = (count + 15) / 16 * 16;
  struct cache_rows rows = {.stride = values ? width : ANGEL_BLOCK_TOKENS};
  for (int64_t b = g.first; b < g.last; b++) {
    float *room = (values ? t->values : t->keys) + b * width * ANGEL_BLOCK_TOKENS;
    rows.blocks[b] = (const char *)room;
    if (!convert) continue;
    if (is_bundled(cache) && values) {
      convert_values(cached.blocks[b], width, room, cache, isa);
    } else if (is_bundled(cache)) {
      convert_keys(cached.blocks[b], count, room, cache, isa);
    } else if (!in_blocks) {
      convert_block(&t->source, g.base + b * ANGEL_BLOCK_TOKENS, from, count, values, room, isa);
    } else if (values) {
      convert_rows(cached.blocks[b], cached.stride, ANGEL_BLOCK_TOKENS, count, room, rows.stride, cache, isa);
    } else {
      convert_rows(cached.blocks[b], 0, 1, count * ANGEL_BLOCK_TOKENS, room, 0, cache, isa);
    }
  }
  return rows;
}

// Soft cap and mask of blocks first ..< last of a query's scores, of which it sees tokens from ..< to; their maximum.
ANGEL_INLINE float finish_scores(
  float *scores, int64_t first, int64_t last, int64_t from, int64_t to, float cap) {
  f32x16 greatest = f32x16_splat(-INFINITY);
  for (int64_t b = first; b < last; b++) {
    const i32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const i32x16 token = lane + (int32_t)b * ANGEL_BLOCK_TOKENS;
    f32x16 block = f32x16_load(scores + b * ANGEL_BLOCK_TOKENS);
    if (cap > 0) block = cap * 0x1.715476p+0f * f32x16_tanh(block / cap);
    block = ((token >= (int32_t)from) & (token < (int32_t)to)) ? block : f32x16_splat(-INFINITY);
    f32x16_store(scores + b * ANGEL_BLOCK_TOKENS, block);
    greatest = f32x16_max(greatest, block);
  }
  return f32x16_maximum(greatest);
}

// The same for a query that sees the whole group, uncapped: nothing changes.
ANGEL_INLINE float whole_maximum(const float *scores) {
  f32x16 greatest[2] = {f32x16_load(scores), f32x16_load(scores + ANGEL_BLOCK_TOKENS)};
#pragma clang loop unroll(full)
  for (int b = 2; b < group_blocks; b++) {
    greatest[b % 2] = f32x16_max(greatest[b % 2], f32x16_load(scores + b * ANGEL_BLOCK_TOKENS));
  }
  return f32x16_maximum(f32x16_max(greatest[0], greatest[1]));
}

// Scores of the blocks first ..< last -> weights; returns their sum.
ANGEL_INLINE float weigh(float *scores, int64_t first, int64_t last, float maximum) {
  f32x16 weights[group_blocks];
#pragma clang loop unroll(full)
  for (int b = 0; b < group_blocks; b++) {
    weights[b] = f32x16_splat(0);
    if (b < first || b >= last) continue;
    weights[b] = f32x16_exp2_weight(f32x16_load(scores + b * ANGEL_BLOCK_TOKENS) - maximum);
    f32x16_store(scores + b * ANGEL_BLOCK_TOKENS, weights[b]);
  }
  const f32x16 low = (weights[0] + weights[1]) + (weights[2] + weights[3]);
  return f32x16_sum(low + ((weights[4] + weights[5]) + (weights[6] + weights[7])));
}

// Scores of strips s ..< s + strips -> weights; running maxima, sums and the corrections of what came before.
ANGEL_INLINE void weigh_strips(struct attention_tile *t, int64_t s, int64_t strips) {
  _Alignas(64) float found[batch_strips * 16];
  for (int64_t i = 0; i < strips; i++) {
    const int64_t count = strip_size(t, s + i);
    f32x16_store(found + i * 16, f32x16_splat(-INFINITY));
    for (int64_t q = 0; q < count; q++) {
      float *scores = t->weights + (i * strip_queries + q) * ANGEL_GROUP_TOKENS;
      const int64_t from = t->from[i * 16 + q], to = t->to[i * 16 + q];
      if (from >= to) continue;
      const int whole = to - from == ANGEL_GROUP_TOKENS && t->softcap == 0;
      found[i * 16 + q] = whole ? whole_maximum(scores)
                                : finish_scores(scores, first_block(from), last_block(to), from, to, t->softcap);
    }
  }
  for (int64_t i = 0; i < strips; i++) {
    float *running = t->maximum + (s + i) * 16;
    const f32x16 old = f32x16_load(running), maximum = f32x16_max(old, f32x16_load(found + i * 16));
    const f32x16 correction = f32x16_exp2_weight(old - maximum);
    f32x16_store(t->corrections + i * 16, old == maximum ? f32x16_splat(1) : correction);
    f32x16_store(running, maximum);
  }
  for (int64_t i = 0; i < strips; i++) {
    const int64_t count = strip_size(t, s + i);
    f32x16_store(found + i * 16, f32x16_splat(0));
    for (int64_t q = 0; q < count; q++) {
      const int64_t from = t->from[i * 16 + q], to = t->to[i * 16 + q];
      if (from >= to) continue;
      float *scores = t->weights + (i * strip_queries + q) * ANGEL_GROUP_TOKENS;
      const float maximum = t->maximum[(s + i) * 16 + q];
      found[i * 16 + q] = to - from == ANGEL_GROUP_TOKENS ? weigh(scores, 0, group_blocks, maximum)
                                                          : weigh(scores, first_block(from), last_block(to), maximum);
    }
  }
  for (int64_t i = 0; i < strips; i++) {
    float *sum = t->sum + (s + i) * 16;
    const f32x16 correction = f32x16_load(t->corrections + i * 16);
    f32x16_store(sum, f32x16_fma(f32x16_load(sum), correction, f32x16_load(found + i * 16)));
  }
}

// outputs += weights * values for strip `i` of a batch. Tokens that all queries see are taken by all together, those
// before and after by each query alone; per query they ascend.
ANGEL_INLINE void add_values(
  struct attention_tile *t, int64_t s, int64_t i, const struct cache_rows *values, int64_t column, int64_t vectors,
  angel_dtype cache, int ahead, angel_isa isa) {
  const int64_t count = strip_size(t, s + i), *from = t->from + i * 16, *to = t->to + i * 16;
  int64_t first = 0, last = ANGEL_GROUP_TOKENS;
  for (int64_t q = 0; q < count; q++) {
    first = from[q] > first ? from[q] : first;
    last = to[q] < last ? to[q] : last;
  }
  if (first >= last || isa == ANGEL_ISA_SCALAR) first = last = 0;  // nothing to gain without registers
  float corrections[strip_queries];
  for (int64_t q = 0; q < count; q++) corrections[q] = t->corrections[i * 16 + q];
  const struct value_strip strip = {
    .weights = t->weights + i * strip_queries * ANGEL_GROUP_TOKENS, .corrections = corrections,
    .outputs = t->outputs + (s + i) * t->strip_count * t->width + column, .output_stride = t->width};
#define TOGETHER(n) value_columns(&strip, values, vectors, first, last, n, cache, ahead, isa)
  for (int phase = 0; phase < 3; phase++) {
    if (phase == 1) {
      if (isa == ANGEL_ISA_SCALAR || first == last) continue;
      STRIP_COUNTED(count, TOGETHER)
      for (int64_t q = 0; q < count; q++) corrections[q] = 1;
      continue;
    }
    for (int64_t q = 0; q < count; q++) {
      const int64_t begin = phase == 0 || first == last ? from[q] : last, end = phase == 0 ? first : to[q];
      if (begin >= end) continue;
      const struct value_strip one = {
        .weights = strip.weights + q * ANGEL_GROUP_TOKENS, .corrections = corrections + q,
        .outputs = strip.outputs + q * t->width, .output_stride = t->width};
      value_columns(&one, values, vectors, begin, end, 1, cache, 0, isa);
      corrections[q] = 1;
    }
  }
#undef TOGETHER
}

// Strips s ..< s + strips against one group, whose rows are read as they lie in a cache of this dtype (`direct`) or as
// float32.
ANGEL_INLINE void attend_strips(
  struct attention_tile *t, struct attention_group g, int64_t s, int64_t strips, angel_dtype cache, int direct,
  angel_isa isa) {
  const int64_t size = t->size, step = direct ? size : converted_elements;
  int64_t first[batch_strips], last[batch_strips];
  for (int64_t i = 0; i < strips; i++) {
    first[i] = ANGEL_GROUP_TOKENS, last[i] = 0;
    for (int64_t q = 0; q < strip_size(t, s + i); q++) {
      const int64_t index = (s + i) * t->strip_count + q;
      const int64_t from = clamp(t->begin[index] - g.base, 0, ANGEL_GROUP_TOKENS);
      const int64_t to = clamp(t->end[index] - g.base, 0, ANGEL_GROUP_TOKENS);
      t->from[i * 16 + q] = from, t->to[i * 16 + q] = to;
      if (from >= to) continue;
      first[i] = from < first[i] ? from : first[i];
      last[i] = to > last[i] ? to : last[i];
    }
  }
  // A tile of several batches has small heads: what the first one converts serves them all.
  for (int64_t d = 0; d < size; d += step) {
    const int64_t depth = size - d < step ? size - d : step;
    const struct cache_rows keys = direct ? cached_rows(t, g, d, 0) : float_rows(t, g, d, depth, 0, s == 0, isa);
    for (int64_t i = 0; i < strips; i++) {
      if (first[i] >= last[i]) continue;
      const int64_t begin = first_block(first[i]), end = last_block(last[i]);
      const int64_t count = strip_size(t, s + i);
      const float *queries = t->queries + (s + i) * t->strip_count * size + d;
      float *scores = t->weights + i * strip_queries * ANGEL_GROUP_TOKENS;
#define SCORES(n) score_strip(queries, size, &keys, begin, end, depth, d > 0, scores, n, cache, direct, isa)
      if (isa != ANGEL_ISA_SCALAR) STRIP_COUNTED(count, SCORES)
      for (int64_t q = 0; q < count && isa == ANGEL_ISA_SCALAR; q++) {
        SCORES(1);
        queries += size, scores += ANGEL_GROUP_TOKENS;
      }
#undef SCORES
    }
  }
  weigh_strips(t, s, strips);
  for (int64_t c = 0; c < size; c += step) {
    const int64_t columns = size - c < step ? size - c : step;
    const struct cache_rows values = direct ? cached_rows(t, g, c, 1) : float_rows(t, g, c, columns, 1, s == 0, isa);
    for (int64_t i = 0; i < strips; i++) {
      if (first[i] < last[i]) add_values(t, s, i, &values, c, (columns + 15) / 16, cache, direct, isa);
    }
  }
}

// What splits up to now gave for one query: the output is their unnormalised sum.
struct merged_splits {
  float *output;
  float maximum, sum;
};

// Adds a later split; the first one is taken as it is.
ANGEL_INLINE void merge_split(struct merged_splits *m, const float *output, float maximum, float sum, int64_t size) {
  if (m->sum == 0) {
    m->maximum = maximum, m->sum = sum;
    memcpy(m->output, output, sizeof(float) * size);
    return;
  }
  const float old = m->maximum;
  m->maximum = old > maximum ? old : maximum;
  const float before = f32x16_exp2_weight(f32x16_splat(old - m->maximum))[0];
  const float now = f32x16_exp2_weight(f32x16_splat(maximum - m->maximum))[0];
  m->sum = __builtin_fmaf(sum, now, m->sum * before);
  for (int64_t i = 0; i < size; i++) m->output[i] = __builtin_fmaf(output[i], now, m->output[i] * before);
}

ANGEL_INLINE void normalize(struct merged_splits *m, int64_t size, angel_dtype cache) {
  const float factor = 1 / m->sum;
  for (int64_t i = 0; i < size; i++) m->output[i] *= factor;
  if (cache == ANGEL_Q4_0) rotate_head(m->output, size);
}
