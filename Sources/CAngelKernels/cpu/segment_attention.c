// segment_attention in float32 and bf16 (segment_attention.h): the tiles of paged_attention over rows instead of a cache.
//
// A tile is a run of rows of one sequence and the query heads of one kv head; a part owns a run of tiles, equal in cost.
//
// Zen 4, one core (multiply-add peak 118 GFLOP/s) beside other work, causal, float32, 12 heads of 64, GFLOP/s before ->
// now: 4 sequences of 256 rows 37 -> 72, 4 of 512 41 -> 81, bf16 73 and 82; one sequence of 256 rows of 4 heads, in
// cache, 83. 8 heads of 128, 512 rows: 84; soft cap 69; 32 sequences of 64 rows 36.
#include "attention_engine.h"
#include "segment_tiles.h"

ANGEL_INLINE void store_rows(
  const struct attention_tile *t, const float *merged, char *output, int64_t heads, angel_dtype dtype, angel_isa isa) {
  const int64_t row_elements = heads * t->size;
  for (int64_t r = 0; r < t->rows; r++) {
    char *row = output + ((t->row + r) * row_elements + t->head * t->size) * cache_element(dtype);
    store_run(merged + r * t->heads * t->size, t->heads * t->size, 1, row, dtype, isa);
  }
}

struct segment_engine {
  const struct attention_engine *attention;
  void (*store_rows)(
    const struct attention_tile *tile, const float *merged, char *output, int64_t heads, angel_dtype dtype);
};
#define SEGMENT_ENGINE(name, target, isa)                                                                         \
  ENGINE(name, target, isa, NULL)                                                                                 \
  target static void store_rows_##name(                                                                           \
    const struct attention_tile *tile, const float *merged, char *output, int64_t heads, angel_dtype dtype) {     \
    store_rows(tile, merged, output, heads, dtype, isa);                                                          \
  }                                                                                                               \
  static const struct segment_engine segment_engine_##name = {                                                    \
    .attention = &engine_##name, .store_rows = store_rows_##name};
SEGMENT_ENGINE(scalar, , ANGEL_ISA_PLAIN)
#if defined(ANGEL_X86)
SEGMENT_ENGINE(avx2, ANGEL_TARGET_AVX2, ANGEL_ISA_AVX2)
SEGMENT_ENGINE(avx512, ANGEL_TARGET_AVX512, ANGEL_ISA_AVX512)
#endif

// The tile, whose sequence, rows and heads are set, from its queries to the output.
static void attend_tile(
  struct attention_tile *t, const struct angel_segment_attention_arguments *a, int64_t start,
  const struct segment_engine *engine) {
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t kv_head = t->head / (s->heads / s->kv_heads), stride = s->kv_heads * s->head_size;
  const int64_t offset = (start * stride + kv_head * s->head_size) * cache_element(t->source.dtype);
  t->source.keys = (const char *)a->keys + offset;
  t->source.values = (const char *)a->values + offset;
  t->source.stride = stride;
  set_strips(t);
  float outputs[tile_floats];
  struct merged_splits merged[tile_queries];
  for (int64_t q = 0; q < t->count; q++) {
    const struct angel_range seen = segment_visible(s, t->row - start + q / t->heads, t->source.length);
    t->begin[q] = seen.begin, t->end[q] = seen.end;
    merged[q] = (struct merged_splits){.output = outputs + q * t->size};
  }
  engine->attention->load_queries(t, a->queries, s->heads, t->source.dtype);
  attend_whole(t, t->begin[0], t->end[t->count - 1], merged, engine->attention);
  engine->store_rows(t, outputs, a->output, s->heads, t->source.dtype);
  if (a->logsumexp == NULL) return;
  for (int64_t q = 0; q < t->count; q++) {
    const int64_t place = (t->row + q / t->heads) * s->heads + t->head + q % t->heads;
    a->logsumexp[place] = merged[q].maximum + log2f(merged[q].sum);
  }
}

// Tiles of one sequence and kv head: `most` rows at most, and as many query heads.
struct segment_cut {
  int64_t heads, most;
};

// Blocks the rows of a tile visit, and two for what is done once.
static int64_t tile_cost(const struct angel_segment_attention_shape *s, int64_t length, struct angel_range rows) {
  const struct angel_range first = segment_visible(s, rows.begin, length);
  const struct angel_range last = segment_visible(s, rows.end - 1, length);
  const int64_t seen = (first.end - first.begin + last.end - last.begin) / 2;
  return (rows.end - rows.begin) * (seen / ANGEL_BLOCK_TOKENS + 3);
}

// Goes over the tiles of a sequence and kv head, of which this part computes those that begin at costs `owned`; the
// cost after them. With `t` NULL nothing is computed.
static int64_t attend_segment(
  struct attention_tile *t, const struct angel_segment_attention_arguments *a, struct segment_cut cut, int64_t segment,
  int64_t kv_head, int64_t cost, struct angel_range owned, const struct segment_engine *engine) {
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t start = s->bounds[segment], length = segment_length(s, segment), group = s->heads / s->kv_heads;
  const int64_t tiles = (length + cut.most - 1) / cut.most;
  for (int64_t tile = 0; tile < tiles; tile++) {
    const struct angel_range rows = {length * tile / tiles, length * (tile + 1) / tiles};
    const int mine = cost >= owned.begin && cost < owned.end;
    cost += tile_cost(s, length, rows);
    for (int64_t head = 0; t != NULL && mine && head < group; head += t->heads) {
      t->heads = group - head < cut.heads ? group - head : cut.heads;
      t->head = kv_head * group + head;
      t->row = start + rows.begin, t->rows = rows.end - rows.begin;
      t->source.length = length;
      attend_tile(t, a, start, engine);
    }
  }
  return cost;
}

static void attend_segments(
  const void *arguments, int32_t part, int32_t parts, angel_dtype dtype, const struct segment_engine *engine) {
  const struct angel_segment_attention_arguments *a = arguments;
  const struct angel_segment_attention_shape *s = &a->shape;
  const int64_t limit = tile_limit(s->head_size), group = s->heads / s->kv_heads;
  struct segment_cut cut = {.heads = group < limit ? group : limit};
  cut.most = limit / cut.heads;
  int64_t total = 0;
  for (int64_t i = 0; i < s->segments; i++) {
    total = attend_segment(NULL, a, cut, i, 0, total, (struct angel_range){0, 0}, engine);
  }
  const struct angel_range owned = angel_part_range(total * s->kv_heads, part, parts);
  struct attention_tile t;
  t.source.dtype = dtype, t.source.blocks = NULL;
  t.size = s->head_size, t.scale = s->scale, t.softcap = s->softcap;
  // Sequence by sequence: its heads lie beside each other in memory.
  int64_t cost = 0;
  for (int64_t i = 0; i < s->segments; i++) {
    for (int64_t h = 0; h < s->kv_heads; h++) cost = attend_segment(&t, a, cut, i, h, cost, owned, engine);
  }
}

#define KERNELS(isa)                                                                                   \
  static void segment_attention_f32_##isa(const void *arguments, int32_t part, int32_t parts) {        \
    attend_segments(arguments, part, parts, ANGEL_F32, &segment_engine_##isa);                         \
  }                                                                                                    \
  static void segment_attention_bf16_##isa(const void *arguments, int32_t part, int32_t parts) {       \
    attend_segments(arguments, part, parts, ANGEL_BF16, &segment_engine_##isa);                        \
  }                                                                                                    \
  static angel_kernel segment_attention_##isa(angel_dtype dtype) {                                     \
    return dtype == ANGEL_F32 ? segment_attention_f32_##isa : segment_attention_bf16_##isa;            \
  }
KERNELS(scalar)
#if defined(ANGEL_X86)
KERNELS(avx2)
KERNELS(avx512)
#endif

angel_kernel angel_segment_attention_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (!angel_only(ANGEL_F32, first, second, third) && !angel_only(ANGEL_BF16, first, second, third)) return NULL;
#if defined(ANGEL_X86)
  if (isa >= ANGEL_ISA_AVX512) return segment_attention_avx512(first);
  if (isa == ANGEL_ISA_AVX2) return segment_attention_avx2(first);
#endif
  return segment_attention_scalar(first);
}
