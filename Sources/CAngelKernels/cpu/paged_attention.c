// paged_attention over f32, f16 and bf16 caches (paged_attention.h).
//
// The unit of work is (row, query head); a part owns a run of them of equal cost. Units that read the same keys and
// values (rows of one sequence, query heads of one kv head) are computed together as a tile: a block is converted to
// float32 once for the tile. Each unit's arithmetic is the contract's, whatever tile it is in.
#include <math.h>
#include <string.h>

#include "attention_strips.h"
#include "paged_attention.h"
#include "variants.h"

enum {
  tile_queries = 32,                  // query vectors of a tile, at most
  tile_rows = 8,                      // rows of a tile of grouped heads, so that it is a whole number of strips
  tile_floats = ANGEL_HEAD_SIZE_LIMIT // room for the query vectors of a tile
};

struct attention_tile {
  const struct angel_paged_attention_arguments *a;
  angel_dtype cache;
  const int64_t *blocks;                        // the sequence's block table
  int64_t row, rows, head, heads;               // rows of one sequence x heads of one kv head
  int64_t count, width;                         // query vectors; head_size rounded up to whole vectors
  int64_t begin[tile_queries], end[tile_queries];  // visible positions of each query
  // Running maximum and sum of the current split, and of the splits merged so far.
  float maximum[tile_queries], sum[tile_queries], merged_maximum[tile_queries], merged_sum[tile_queries];
  // Of a group of blocks: scores, then weights; the unmasked tokens of each row of weights.
  _Alignas(64) float weights[tile_queries * ANGEL_BLOCK_TOKENS];
  int64_t from[tile_queries], to[tile_queries];
  _Alignas(64) float queries[tile_floats];      // [head_size][count]
  _Alignas(64) float outputs[tile_floats * 2];  // [count][width] of the current split
  _Alignas(64) float converted[4 * strip_depth * ANGEL_BLOCK_TOKENS];
};

static int64_t cache_element(angel_dtype cache) { return cache == ANGEL_F32 ? 4 : 2; }

ANGEL_INLINE float *query_output(const struct attention_tile *t, int64_t q) {
  const int64_t row = t->row + q / t->heads, head = t->head + q % t->heads;
  return t->a->output + (row * t->a->heads + head) * t->a->cache.head_size;
}

ANGEL_INLINE int64_t first_position(const struct angel_paged_attention_arguments *a, int64_t row) {
  const int64_t position = a->cache.row_positions[row];
  return a->window > 0 && position >= a->window ? position - a->window + 1 : 0;
}

static void prepare_tile(struct attention_tile *t) {
  const struct angel_paged_attention_arguments *a = t->a;
  const int64_t size = a->cache.head_size;
  t->blocks = a->cache.block_table + a->cache.row_sequences[t->row] * a->cache.blocks_per_sequence;
  t->count = t->rows * t->heads;
  t->width = (size + 15) / 16 * 16;
  for (int64_t q = 0; q < t->count; q++) {
    const int64_t row = t->row + q / t->heads, head = t->head + q % t->heads;
    const float *query = a->queries + (row * a->heads + head) * size;
    for (int64_t d = 0; d < size; d++) t->queries[d * t->count + q] = query[d];
    t->begin[q] = first_position(a, row);
    t->end[q] = (int64_t)a->cache.row_positions[row] + 1;
    t->merged_sum[q] = 0;
  }
}

// The tile's part of a block's keys or values, `head_size * 16` elements.
ANGEL_INLINE const char *block_part(const struct attention_tile *t, int64_t block, int values) {
  const struct angel_paged_cache *c = &t->a->cache;
  const int64_t element = cache_element(t->cache);
  const int64_t kv_head = t->head / (t->a->heads / c->kv_heads) + (values ? c->kv_heads : 0);
  return c->arena + t->blocks[block] + c->layer_offset + kv_head * c->head_size * ANGEL_BLOCK_TOKENS * element;
}

// Raw dot products of every query with `group` blocks: weights[q * group + b][token].
ANGEL_INLINE void score_blocks(struct attention_tile *t, int64_t block, int64_t group, angel_isa isa) {
  const int64_t size = t->a->cache.head_size, element = cache_element(t->cache);
  memset(t->weights, 0, sizeof(float) * t->count * group * ANGEL_BLOCK_TOKENS);
  for (int64_t d = 0; d < size; d += strip_depth) {
    const int64_t depth = size - d < strip_depth ? size - d : strip_depth;
    const float *keys[4];
    for (int64_t b = 0; b < group; b++) {
      const char *source = block_part(t, block + b, 0) + d * ANGEL_BLOCK_TOKENS * element;
      keys[b] = convert_keys(source, depth, t->converted + b * strip_depth * ANGEL_BLOCK_TOKENS, t->cache, isa);
    }
    score_strips(t->queries + d * t->count, t->count, keys, depth, t->weights, group, isa);
  }
}

// Scores of one query and block -> weights, updating the running maximum, sum and output.
ANGEL_INLINE void weigh(struct attention_tile *t, int64_t q, int64_t group_row, int64_t base) {
  const struct angel_paged_attention_arguments *a = t->a;
  const int64_t from = t->begin[q] > base ? t->begin[q] - base : 0;
  const int64_t to = t->end[q] - base < ANGEL_BLOCK_TOKENS ? t->end[q] - base : ANGEL_BLOCK_TOKENS;
  t->from[q] = from, t->to[q] = to;
  if (from >= to) return;
  float *weights = t->weights + group_row * ANGEL_BLOCK_TOKENS;
  f32x16 scores = f32x16_load(weights) * a->scale;
  if (a->softcap > 0) scores = a->softcap * f32x16_tanh(scores / a->softcap);
  if (to - from < ANGEL_BLOCK_TOKENS) {
    const i32x16 token = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const i32x16 seen = (token >= (int32_t)from) & (token < (int32_t)to);
    scores = seen ? scores : f32x16_splat(-INFINITY);
  }
  const float block_maximum = f32x16_maximum(scores), old = t->maximum[q];
  const float maximum = old > block_maximum ? old : block_maximum;
  const f32x16 lanes = f32x16_exp(scores - maximum);
  f32x16_store(weights, lanes);
  const float sum = f32x16_sum(lanes);
  if (maximum == old) {  // the correction is exactly 1
    t->sum[q] += sum;
    return;
  }
  const float correction = f32_exp(old - maximum);
  t->maximum[q] = maximum;
  t->sum[q] = t->sum[q] * correction + sum;
  for (int64_t i = 0; i < t->width; i += 16) {
    f32x16_store(t->outputs + q * t->width + i, f32x16_load(t->outputs + q * t->width + i) * correction);
  }
}

// outputs += weights * values of one block, for every query that sees a token of it.
ANGEL_INLINE void add_values(struct attention_tile *t, int64_t block, int64_t b, int64_t group, angel_isa isa) {
  const int64_t size = t->a->cache.head_size, element = cache_element(t->cache);
  const char *source = block_part(t, block, 1);
  for (int64_t c = 0; c < size; c += strip_depth) {
    const int64_t columns = size - c < strip_depth ? size - c : strip_depth;
    const struct value_strip strip = {
      .values = t->converted, .value_stride = strip_depth, .vectors = (columns + 15) / 16,
      .weights = t->weights + b * ANGEL_BLOCK_TOKENS, .weight_stride = group * ANGEL_BLOCK_TOKENS,
      .outputs = t->outputs + c, .output_stride = t->width, .from = t->from, .to = t->to};
    convert_values(source + c * element, size, columns, t->converted, t->cache, isa);
    value_strips(&strip, t->count, isa);
  }
}

// Adds the current split to what earlier splits gave; the first one is taken as it is.
ANGEL_INLINE void merge_split(struct attention_tile *t, int64_t q) {
  const int64_t size = t->a->cache.head_size;
  float *merged = query_output(t, q);
  const float *split = t->outputs + q * t->width;
  if (t->merged_sum[q] == 0) {
    t->merged_maximum[q] = t->maximum[q], t->merged_sum[q] = t->sum[q];
    memcpy(merged, split, sizeof(float) * size);
    return;
  }
  const float old = t->merged_maximum[q], maximum = old > t->maximum[q] ? old : t->maximum[q];
  const float before = f32_exp(old - maximum), now = f32_exp(t->maximum[q] - maximum);
  t->merged_maximum[q] = maximum;
  t->merged_sum[q] = __builtin_fmaf(t->sum[q], now, t->merged_sum[q] * before);
  for (int64_t i = 0; i < size; i++) merged[i] = __builtin_fmaf(split[i], now, merged[i] * before);
}

ANGEL_INLINE void attend_split(struct attention_tile *t, int64_t first, int64_t last, angel_isa isa) {
  for (int64_t q = 0; q < t->count; q++) t->maximum[q] = -INFINITY, t->sum[q] = 0;
  memset(t->outputs, 0, sizeof(float) * t->count * t->width);
  for (int64_t block = first; block < last;) {
    // Few queries alone cannot fill the multiply-adders' latency: they take four blocks of keys at a time.
    const int64_t group = t->count <= few_queries && last - block >= 4 ? 4 : 1;
    score_blocks(t, block, group, isa);
    for (int64_t b = 0; b < group; b++) {
      for (int64_t q = 0; q < t->count; q++) weigh(t, q, q * group + b, (block + b) * ANGEL_BLOCK_TOKENS);
      add_values(t, block + b, b, group, isa);
    }
    block += group;
  }
}

// What differs from one instruction set to the next. The rest of this file is integer work, compiled once.
struct attention_engine {
  void (*attend_split)(struct attention_tile *tile, int64_t first, int64_t last);
  void (*merge_split)(struct attention_tile *tile, int64_t q);
};
#define ENGINE(name, target, isa)                                                                       \
  target static void attend_split_##name(struct attention_tile *tile, int64_t first, int64_t last) {    \
    attend_split(tile, first, last, isa);                                                               \
  }                                                                                                     \
  target static void merge_split_##name(struct attention_tile *tile, int64_t q) { merge_split(tile, q); } \
  static const struct attention_engine engine_##name = {attend_split_##name, merge_split_##name};
ENGINE(scalar, , ANGEL_ISA_PLAIN)
#if defined(ANGEL_X86)
ENGINE(avx2, ANGEL_TARGET_AVX2, ANGEL_ISA_AVX2)
ENGINE(avx512, ANGEL_TARGET_AVX512, ANGEL_ISA_AVX512)
#endif

static void attend_tile(struct attention_tile *t, const struct attention_engine *engine) {
  prepare_tile(t);
  int64_t begin = t->begin[0], end = t->end[0];
  for (int64_t q = 1; q < t->count; q++) {
    begin = t->begin[q] < begin ? t->begin[q] : begin;
    end = t->end[q] > end ? t->end[q] : end;
  }
  const int64_t split_blocks = ANGEL_SPLIT_TOKENS / ANGEL_BLOCK_TOKENS;
  const int64_t last = (end + ANGEL_BLOCK_TOKENS - 1) / ANGEL_BLOCK_TOKENS;
  for (int64_t block = begin / ANGEL_BLOCK_TOKENS; block < last;) {
    const int64_t split_end = (block / split_blocks + 1) * split_blocks, stop = split_end < last ? split_end : last;
    engine->attend_split(t, block, stop);
    for (int64_t q = 0; q < t->count; q++) {
      if (t->begin[q] < stop * ANGEL_BLOCK_TOKENS && t->end[q] > block * ANGEL_BLOCK_TOKENS) engine->merge_split(t, q);
    }
    block = stop;
  }
  for (int64_t q = 0; q < t->count; q++) {
    float *output = query_output(t, q);
    for (int64_t i = 0; i < t->a->cache.head_size; i++) output[i] /= t->merged_sum[q];
  }
}

// Heads [head, last_head) of rows [row, last_row): kv head by kv head, in tiles of rows of one sequence.
static void attend_rectangle(
  struct attention_tile *t, int64_t row, int64_t last_row, int64_t head, int64_t last_head,
  const struct attention_engine *engine) {
  const struct angel_paged_attention_arguments *a = t->a;
  const int64_t group = a->heads / a->cache.kv_heads, fitting = tile_floats / a->cache.head_size;
  const int64_t limit = fitting < tile_queries ? fitting : tile_queries;
  while (row < last_row && head < last_head) {
    const int64_t group_end = (head / group + 1) * group, stop = group_end < last_head ? group_end : last_head;
    t->head = head;
    t->heads = stop - head < limit ? stop - head : limit;
    for (int64_t r = row; r < last_row; r += t->rows) {
      t->row = r;
      t->rows = 1;
      while (r + t->rows < last_row && (t->rows + 1) * t->heads <= limit && (t->rows < tile_rows || t->heads == 1) &&
             a->cache.row_sequences[r + t->rows] == a->cache.row_sequences[r]) {
        t->rows++;
      }
      attend_tile(t, engine);
    }
    head += t->heads;
  }
}

// The first unit (row * heads + head) of a part, so that every part has the same number of blocks to visit.
static int64_t first_unit(const struct angel_paged_attention_arguments *a, int32_t part, int32_t parts) {
  int64_t total = 0;
  for (int64_t pass = 0, wanted = 0;; pass++) {
    int64_t passed = 0;
    for (int64_t r = 0; r < a->rows; r++) {
      const int64_t last = a->cache.row_positions[r] / ANGEL_BLOCK_TOKENS;
      const int64_t cost = last - first_position(a, r) / ANGEL_BLOCK_TOKENS + 2;  // one for the row itself
      if (pass == 1 && passed + cost * a->heads > wanted) return r * a->heads + (wanted - passed) / cost;
      passed += cost * a->heads;
    }
    if (pass == 1) return a->rows * a->heads;
    total = passed;
    wanted = total * part / parts;
  }
}

static void attend(
  const void *arguments, int32_t part, int32_t parts, angel_dtype cache, const struct attention_engine *engine) {
  struct attention_tile t;
  t.a = arguments;
  t.cache = cache;
  const int64_t heads = t.a->heads, begin = first_unit(t.a, part, parts), end = first_unit(t.a, part + 1, parts);
  const int64_t row = begin / heads, last_row = end / heads;
  if (row == last_row) {
    attend_rectangle(&t, row, row + 1, begin % heads, end % heads, engine);
    return;
  }
  // The rest of a row begun by an earlier part, whole rows, the beginning of a row ended by a later part.
  const int64_t whole_row = begin % heads == 0 ? row : row + 1;
  if (whole_row > row) attend_rectangle(&t, row, row + 1, begin % heads, heads, engine);
  attend_rectangle(&t, whole_row, last_row, 0, heads, engine);
  if (end % heads > 0) attend_rectangle(&t, last_row, last_row + 1, 0, end % heads, engine);
}

#define KERNEL(name, dtype, isa)                                                                            \
  static void paged_attention_##name##_##isa(const void *arguments, int32_t part, int32_t parts) {          \
    attend(arguments, part, parts, dtype, &engine_##isa);                                                   \
  }
#define KERNELS(isa)              \
  KERNEL(f32, ANGEL_F32, isa)     \
  KERNEL(f16, ANGEL_F16, isa)     \
  KERNEL(bf16, ANGEL_BF16, isa)   \
  static angel_kernel paged_attention_##isa(angel_dtype cache) {              \
    if (cache == ANGEL_F32) return paged_attention_f32_##isa;                 \
    if (cache == ANGEL_F16) return paged_attention_f16_##isa;                 \
    return cache == ANGEL_BF16 ? paged_attention_bf16_##isa : NULL;           \
  }
KERNELS(scalar)
#if defined(ANGEL_X86)
KERNELS(avx2)
KERNELS(avx512)
#endif

angel_kernel angel_paged_attention_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (first != ANGEL_F32 || third != ANGEL_NO_DTYPE) return NULL;
#if defined(ANGEL_X86)
  if (isa >= ANGEL_ISA_AVX512) return paged_attention_avx512(second);
  if (isa == ANGEL_ISA_AVX2) return paged_attention_avx2(second);
#endif
  return paged_attention_scalar(second);
}
