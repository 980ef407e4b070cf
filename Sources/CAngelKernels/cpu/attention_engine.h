// The engine of paged_attention and segment_attention, compiled for each instruction set, and the walk over groups and
// splits of a tile, which is integer work.
#pragma once
#include "attention_tile.h"
#include "variants.h"

// What differs from one instruction set to the next. The rest of this file is integer work, compiled once.
struct attention_engine {
  void (*load_queries)(struct attention_tile *tile, const void *queries, int64_t heads, angel_dtype dtype);
  // Strips s ..< s + strips against a group: its rows as float32, or as they lie in a cache of a dtype (NULL: never).
  void (*attend_copy)(struct attention_tile *tile, struct attention_group group, int64_t s, int64_t strips);
  void (*attend_cache[ANGEL_Q8_0 + 1])(
    struct attention_tile *tile, struct attention_group group, int64_t s, int64_t strips);
  void (*merge_split)(struct merged_splits *merged, const float *output, float maximum, float sum, int64_t size);
  void (*normalize)(struct merged_splits *merged, int64_t size, angel_dtype cache);
};
#define STRIPS(name, target, cache, direct, isa)                                                              \
  target static void name(struct attention_tile *tile, struct attention_group group, int64_t s, int64_t strips) { \
    attend_strips(tile, group, s, strips, cache, direct, isa);                                                \
  }
#define DIRECT_STRIPS(name, target, isa)                      \
  STRIPS(attend_f32_##name, target, ANGEL_F32, 1, isa)        \
  STRIPS(attend_f16_##name, target, ANGEL_F16, 1, isa)        \
  STRIPS(attend_bf16_##name, target, ANGEL_BF16, 1, isa)      \
  STRIPS(attend_q8_0_##name, target, ANGEL_Q8_0, 1, isa)      \
  STRIPS(attend_q4_0_##name, target, ANGEL_Q4_0, 1, isa)
#define ENGINE(name, target, isa, ...)                                                                         \
  target static void load_queries_##name(                                                                      \
    struct attention_tile *tile, const void *queries, int64_t heads, angel_dtype dtype) {                      \
    load_queries(tile, queries, heads, dtype, isa);                                                            \
  }                                                                                                            \
  STRIPS(attend_copy_##name, target, ANGEL_F32, 0, isa)                                                        \
  target static void merge_split_##name(                                                                       \
    struct merged_splits *merged, const float *output, float maximum, float sum, int64_t size) {               \
    merge_split(merged, output, maximum, sum, size);                                                           \
  }                                                                                                            \
  target static void normalize_##name(struct merged_splits *merged, int64_t size, angel_dtype cache) {         \
    normalize(merged, size, cache);                                                                            \
  }                                                                                                            \
  static const struct attention_engine engine_##name = {                                                       \
    .load_queries = load_queries_##name, .attend_copy = attend_copy_##name, .merge_split = merge_split_##name, \
    .normalize = normalize_##name, .attend_cache = {__VA_ARGS__}};
#define DIRECT_ENGINE(name, target, isa)                                                                      \
  DIRECT_STRIPS(name, target, isa)                                                                            \
  ENGINE(name, target, isa, [ANGEL_F32] = attend_f32_##name, [ANGEL_F16] = attend_f16_##name,                 \
         [ANGEL_BF16] = attend_bf16_##name, [ANGEL_Q8_0] = attend_q8_0_##name,                                \
         [ANGEL_Q4_0] = attend_q4_0_##name)
// One group for the whole tile.
static void attend_group(struct attention_tile *t, struct attention_group g, const struct attention_engine *engine) {
  // Few strips read the cache itself, where its rows are whole vectors, or bundles.
  const angel_dtype cache = t->source.dtype;
  const int64_t whole = is_bundled(cache) ? bundle_elements : 16;
  if (t->strips <= direct_strips && t->size % whole == 0 && engine->attend_cache[cache] != NULL) {
    engine->attend_cache[cache](t, g, 0, t->strips);
    return;
  }
  for (int64_t s = 0; s < t->strips; s += batch_strips) {
    engine->attend_copy(t, g, s, t->strips - s < batch_strips ? t->strips - s : batch_strips);
  }
}

// Positions begin ..< end, which lie in one split, for the whole tile.
static void attend_split(struct attention_tile *t, int64_t begin, int64_t end, const struct attention_engine *engine) {
  for (int64_t i = 0; i < t->strips * 16; i++) t->maximum[i] = -INFINITY, t->sum[i] = 0;
  memset(t->outputs, 0, sizeof(float) * t->count * t->width);
  for (int64_t base = begin / ANGEL_GROUP_TOKENS * ANGEL_GROUP_TOKENS; base < end; base += ANGEL_GROUP_TOKENS) {
    const int64_t from = clamp(begin - base, 0, ANGEL_GROUP_TOKENS), to = clamp(end - base, 0, ANGEL_GROUP_TOKENS);
    attend_group(t, (struct attention_group){base, first_block(from), last_block(to)}, engine);
  }
}

static float lane(const struct attention_tile *t, const float *lanes, int64_t q) {
  return lanes[q / t->strip_count * 16 + q % t->strip_count];
}

// The splits of begin ..< end one after the other; `merged` has the output of each query, [head_size], and takes the rest.
static void attend_splits(
  struct attention_tile *t, int64_t begin, int64_t end, struct merged_splits *merged,
  const struct attention_engine *engine) {
  while (begin < end) {
    const int64_t split_end = (begin / ANGEL_SPLIT_TOKENS + 1) * ANGEL_SPLIT_TOKENS;
    const int64_t stop = split_end < end ? split_end : end;
    attend_split(t, begin, stop, engine);
    for (int64_t q = 0; q < t->count; q++) {
      if (t->begin[q] >= stop || t->end[q] <= begin) continue;
      engine->merge_split(
        &merged[q], t->outputs + q * t->width, lane(t, t->maximum, q), lane(t, t->sum, q), t->size);
    }
    begin = stop;
  }
}

// All splits of the tile, to the end.
static void attend_whole(
  struct attention_tile *t, int64_t begin, int64_t end, struct merged_splits *merged,
  const struct attention_engine *engine) {
  attend_splits(t, begin, end, merged, engine);
  for (int64_t q = 0; q < t->count; q++) engine->normalize(&merged[q], t->size, t->source.dtype);
}

// Counts a tile's queries and cuts them into strips.
static void set_strips(struct attention_tile *t) {
  t->count = t->rows * t->heads;
  t->width = (t->size + 15) / 16 * 16;
  t->strips = (t->count + strip_queries - 1) / strip_queries;
  t->strip_count = (t->count + t->strips - 1) / t->strips;
}

// Query vectors of a tile of heads of `size`, at most.
static int64_t tile_limit(int64_t size) {
  const int64_t batch = size > converted_elements ? batch_strips * strip_queries : tile_queries;
  return clamp(tile_floats / size, 1, batch);
}
