// segment_attention_backward in float32 and bf16 (segment_attention.h).
//
// A unit is a pair of sequence and kv head. Its tiles of keys are taken one after the other, against each the tiles of queries
// that see it: scores are made once, for all three gradients; dk and dv are gathered in the tile, dq in memory. Where
// parts would be unequal, units are pieces of pairs instead: runs of queries, which make dq alone, and of keys, which make
// dk and dv. Scores are then made twice; the sums, and so their bits, are the same.
//
// Zen 4, one core (multiply-add peak 118 GFLOP/s) beside other work, causal, float32, 12 heads of 64, GFLOP/s of five
// products before -> now: 4 sequences of 256 rows 30 -> 75, 4 of 512 33 -> 82, bf16 76 and 85; 8 heads of 128, 512 rows:
// 85; soft cap 78; 32 sequences of 64 rows 45. In pieces 60.
#include "segment_products.h"
#include "segment_tiles.h"
#include "variants.h"

enum {
  key_tile = 64,        // rows of a tile of keys, at most
  query_tile = 48,      // of queries
  operand_floats = 64 * 128,
  score_floats = query_tile * key_tile,
  piece_tiles = 4,      // tiles of queries of a piece that makes dq
  parts_limit = 512,    // parts that get work
};

// A tile of keys, a tile of queries of one head, and what is made from the two.
struct backward_tiles {
  const struct angel_segment_attention_backward_arguments *a;
  angel_dtype dtype;
  int64_t width;                         // head_size rounded up to whole vectors
  int64_t key_rows, query_rows;          // rows of a tile
  int64_t start, length, kv_head, head;  // of the sequence; where we are
  int64_t key, keys, query, queries;     // first position and rows of both tiles
  int64_t from[query_tile], to[query_tile];       // of the tile of keys, what each query sees
  float logsumexp[query_tile], deltas[query_tile];
  _Alignas(64) float key_room[operand_floats], keys_down[operand_floats], values_down[operand_floats];
  _Alignas(64) float key_sums[operand_floats], value_sums[operand_floats];
  _Alignas(64) float query_room[operand_floats], gradients[operand_floats], query_sums[operand_floats];
  _Alignas(64) float probabilities[score_floats], slopes[score_floats];  // [query][key]
};

// A run of positions of a sequence and kv head whose queries or keys a part owns.
struct backward_unit {
  int64_t segment, kv_head;
  struct angel_range queries, keys;
  int makes_queries, makes_keys;
};

ANGEL_INLINE int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }

// Rows of [rows, heads, head_size] as [count][width].
ANGEL_INLINE void load_rows(
  const struct backward_tiles *t, const void *source, int64_t heads, int64_t head, int64_t position, int64_t count,
  float *room, angel_isa isa) {
  const int64_t size = t->a->shape.head_size, stride = heads * size;
  const char *start = (const char *)source + ((t->start + position) * stride + head * size) * cache_element(t->dtype);
  convert_rows(start, stride, count, size, room, t->width, t->dtype, isa);
}

ANGEL_INLINE void store_rows(
  const struct backward_tiles *t, const float *room, float factor, void *target, int64_t heads, int64_t head,
  int64_t position, int64_t count, angel_isa isa) {
  const int64_t size = t->a->shape.head_size, stride = heads * size;
  for (int64_t i = 0; i < count; i++) {
    const int64_t place = (t->start + position + i) * stride + head * size;
    store_run(room + i * t->width, size, factor, (char *)target + place * cache_element(t->dtype), t->dtype, isa);
  }
}

// [rows of a tile of keys][width] -> [width][key_rows].
ANGEL_INLINE void transpose_rows(
  const struct backward_tiles *t, const float *rows, float *target, angel_isa isa) {
  for (int64_t i = 0; i < t->key_rows; i += 16) {
    for (int64_t d = 0; d < t->width; d += 16) {
      transpose_square(
        rows + i * t->width + d, t->width, target + d * t->key_rows + i, t->key_rows, ANGEL_F32, isa);
    }
  }
}

ANGEL_INLINE void load_keys(struct backward_tiles *t, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &t->a->shape;
  // The rows after the last are zeros; values are needed transposed alone.
  memset(t->key_room, 0, sizeof(float) * (size_t)(t->key_rows * t->width));
  load_rows(t, t->a->values, s->kv_heads, t->kv_head, t->key, t->keys, t->key_room, isa);
  transpose_rows(t, t->key_room, t->values_down, isa);
  load_rows(t, t->a->keys, s->kv_heads, t->kv_head, t->key, t->keys, t->key_room, isa);
  transpose_rows(t, t->key_room, t->keys_down, isa);
}

ANGEL_INLINE void load_queries(struct backward_tiles *t, float factor, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &t->a->shape;
  load_rows(t, t->a->gradient, s->heads, t->head, t->query, t->queries, t->gradients, isa);
  // The outputs are needed for the deltas alone; the queries take their room.
  load_rows(t, t->a->output, s->heads, t->head, t->query, t->queries, t->query_room, isa);
  for (int64_t i = 0; i < t->queries; i++) {
    const int64_t row = i * t->width;
    f32x16 sums = f32x16_splat(0);
    for (int64_t d = 0; d < t->width; d += 16) {
      sums = f32x16_fma(f32x16_load(t->gradients + row + d), f32x16_load(t->query_room + row + d), sums);
    }
    t->deltas[i] = f32x16_sum(sums);
    t->logsumexp[i] = t->a->logsumexp[(t->start + t->query + i) * s->heads + t->head];
    const struct angel_range seen = segment_visible(s, t->query + i, t->length);
    t->from[i] = least(seen.begin > t->key ? seen.begin - t->key : 0, t->keys);
    t->to[i] = least(seen.end > t->key ? seen.end - t->key : 0, t->keys);
  }
  load_rows(t, t->a->queries, s->heads, t->head, t->query, t->queries, t->query_room, isa);
  for (int64_t i = 0; i < t->queries * t->width; i += 16) {
    f32x16_store(t->query_room + i, f32x16_load(t->query_room + i) * factor);
  }
}

// Products of a query's row -> probabilities p and score gradients ds, zero where it does not see. Vectors first ..< last
// of the tile of keys were computed.
ANGEL_INLINE void differentiate_row(
  const struct backward_tiles *t, int64_t i, int64_t first, int64_t last, float *probabilities, float *slopes) {
  const float cap = t->a->shape.softcap;
  const int32_t from = (int32_t)t->from[i], to = (int32_t)t->to[i];
  for (int64_t v = 0; v < t->key_rows / 16; v++) {
    f32x16 weights = f32x16_splat(0), slope = f32x16_splat(0);
    if (v >= first && v < last) {
      f32x16 scores = f32x16_load(probabilities + v * 16);
      if (cap > 0) scores = cap * 0x1.715476p+0f * f32x16_tanh(scores / cap);
      weights = f32x16_exp2_weight(scores - t->logsumexp[i]);
      slope = weights * (f32x16_load(slopes + v * 16) - t->deltas[i]);
      if (cap > 0) {
        const f32x16 relative = scores / (cap * 0x1.715476p+0f);
        slope = slope * (1.0f - relative * relative);
      }
      if (from > v * 16 || to < (v + 1) * 16) {
        const i32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        const i32x16 key = lane + (int32_t)v * 16, sees = (key >= from) & (key < to);
        weights = sees ? weights : f32x16_splat(0);
        slope = sees ? slope : f32x16_splat(0);
      }
    }
    f32x16_store(probabilities + v * 16, weights);
    f32x16_store(slopes + v * 16, slope);
  }
}

// Probabilities and score gradients of the two tiles, strip by strip, and dq, which goes on from `resume`.
ANGEL_INLINE void differentiate_queries(struct backward_tiles *t, int makes_queries, int resume, angel_isa isa) {
  const int64_t rows = t->key_rows, width = t->width;
  const struct product scores = {t->query_room, width, 1, t->keys_down, rows, t->probabilities, rows};
  const struct product slopes = {t->gradients, width, 1, t->values_down, rows, t->slopes, rows};
  const struct product sums = {t->slopes, rows, 1, t->key_room, width, t->query_sums, width};
  for (int64_t i = 0; i < t->queries; i += strip_queries) {
    const int64_t count = least(t->queries - i, strip_queries);
    const int64_t from = t->from[i], to = t->to[i + count - 1], first = from / 16, last = (to + 15) / 16;
    if (from < to) {
      product_rows(&scores, i, count, first, last, 0, width, 0, isa);
      product_rows(&slopes, i, count, first, last, 0, width, 0, isa);
    }
    for (int64_t q = i; q < i + count; q++) {
      differentiate_row(t, q, first, from < to ? last : first, t->probabilities + q * rows, t->slopes + q * rows);
    }
    if (makes_queries) product_rows(&sums, i, count, 0, width / 16, from, to > from ? to : from, resume, isa);
  }
}

// dk and dv of the tile of keys from the tile of queries.
ANGEL_INLINE void differentiate_keys(struct backward_tiles *t, angel_isa isa) {
  const int64_t rows = t->key_rows, width = t->width;
  const struct product keys = {t->slopes, 1, rows, t->query_room, width, t->key_sums, width};
  const struct product values = {t->probabilities, 1, rows, t->gradients, width, t->value_sums, width};
  int64_t first = 0, last = 0;
  for (int64_t i = 0; i < t->keys; i += strip_queries) {
    const int64_t count = least(t->keys - i, strip_queries);
    // The queries that see any of the strip: what a query sees ascends with it.
    while (first < t->queries && t->to[first] <= i) first++;
    while (last < t->queries && t->from[last] < i + count) last++;
    if (first >= last) continue;
    product_rows(&keys, i, count, 0, width / 16, first, last, 1, isa);
    product_rows(&values, i, count, 0, width / 16, first, last, 1, isa);
  }
}

// Where dq of the tile's row `i` is gathered.
ANGEL_INLINE float *gathered(const struct backward_tiles *t, int64_t i) {
  const struct angel_segment_attention_shape *s = &t->a->shape;
  return t->a->query_sums + ((t->start + t->query + i) * s->heads + t->head) * s->head_size;
}

// The two tiles, which see each other.
ANGEL_INLINE void differentiate_tiles(struct backward_tiles *t, const struct backward_unit *u, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &t->a->shape;
  const size_t bytes = sizeof(float) * (size_t)s->head_size;
  load_queries(t, s->softcap > 0 ? s->scale : s->scale * 0x1.715476p+0f, isa);
  const int resume = segment_visible(s, t->query, t->length).begin < t->key;
  for (int64_t i = 0; i < t->queries && u->makes_queries && resume; i++) {
    memcpy(t->query_sums + i * t->width, gathered(t, i), bytes);
  }
  differentiate_queries(t, u->makes_queries, resume, isa);
  if (u->makes_keys) differentiate_keys(t, isa);
  if (!u->makes_queries) return;
  if (segment_visible(s, t->query + t->queries - 1, t->length).end <= t->key + t->keys) {
    store_rows(
      t, t->query_sums, s->scale, t->a->query_gradient, s->heads, t->head, t->query, t->queries, isa);
    return;
  }
  for (int64_t i = 0; i < t->queries; i++) memcpy(gathered(t, i), t->query_sums + i * t->width, bytes);
}

// Whether some of the queries, which are neighbours, see some of the keys.
ANGEL_INLINE int sees(
  const struct angel_segment_attention_shape *s, int64_t length, struct angel_range queries, struct angel_range keys) {
  return segment_visible(s, queries.begin, length).begin < keys.end
    && segment_visible(s, queries.end - 1, length).end > keys.begin;
}

ANGEL_INLINE void differentiate_unit(struct backward_tiles *t, const struct backward_unit *u, angel_isa isa) {
  const struct angel_segment_attention_shape *s = &t->a->shape;
  const int64_t group = s->heads / s->kv_heads;
  t->start = s->bounds[u->segment], t->length = segment_length(s, u->segment), t->kv_head = u->kv_head;
  for (t->key = u->keys.begin; t->key < u->keys.end; t->key += t->key_rows) {
    t->keys = least(u->keys.end - t->key, t->key_rows);
    const struct angel_range keys = {t->key, t->key + t->keys};
    if (!sees(s, t->length, u->queries, keys)) continue;
    load_keys(t, isa);
    memset(t->key_sums, 0, sizeof(float) * (size_t)(t->keys * t->width));
    memset(t->value_sums, 0, sizeof(float) * (size_t)(t->keys * t->width));
    for (t->head = t->kv_head * group; t->head < (t->kv_head + 1) * group; t->head++) {
      for (t->query = u->queries.begin; t->query < u->queries.end; t->query += t->query_rows) {
        t->queries = least(u->queries.end - t->query, t->query_rows);
        const struct angel_range queries = {t->query, t->query + t->queries};
        if (sees(s, t->length, queries, keys)) differentiate_tiles(t, u, isa);
      }
    }
    if (!u->makes_keys) continue;
    const float factor = s->softcap > 0 ? 1 : 0x1.62e43p-1f;
    store_rows(t, t->key_sums, factor, t->a->key_gradient, s->kv_heads, t->kv_head, t->key, t->keys, isa);
    store_rows(t, t->value_sums, 1, t->a->value_gradient, s->kv_heads, t->kv_head, t->key, t->keys, isa);
  }
}

// How many positions a tile has: fewer for large heads.
static int64_t tile_rows(const struct angel_segment_attention_shape *s, int64_t most) {
  const int64_t width = (s->head_size + 15) / 16 * 16, fitting = operand_floats / width / 16 * 16;
  return fitting < most ? fitting : most;
}

// How a launch is cut: pairs of sequence and kv head, sequence by sequence, the first `whole` of them as they are, the
// others into pieces.
struct backward_cut {
  const struct angel_segment_attention_shape *s;
  int64_t query_rows, key_rows;  // of a tile
  int64_t whole;
};

static int64_t pieces_of(int64_t length, int64_t rows) { return (length + rows - 1) / rows; }

static int64_t unit_count(const struct backward_cut *c, int64_t pair) {
  const int64_t length = segment_length(c->s, pair / c->s->kv_heads);
  return pair < c->whole ? 1 : pieces_of(length, c->query_rows * piece_tiles) + pieces_of(length, c->key_rows);
}

static struct angel_range piece(int64_t length, int64_t rows, int64_t index) {
  return (struct angel_range){index * rows, least((index + 1) * rows, length)};
}

static struct backward_unit unit_at(const struct backward_cut *c, int64_t pair, int64_t index) {
  const int64_t segment = pair / c->s->kv_heads, length = segment_length(c->s, segment);
  const int64_t run = c->query_rows * piece_tiles, query_pieces = pieces_of(length, run);
  struct backward_unit unit = {
    .segment = segment, .kv_head = pair % c->s->kv_heads, .queries = {0, length}, .keys = {0, length},
    .makes_queries = 1, .makes_keys = 1};
  if (pair < c->whole) return unit;
  unit.makes_queries = index < query_pieces, unit.makes_keys = !unit.makes_queries;
  if (unit.makes_queries) unit.queries = piece(length, run, index);
  if (unit.makes_keys) unit.keys = piece(length, c->key_rows, index - query_pieces);
  return unit;
}

// Products of pairs of rows, and something for each tile of keys.
static int64_t unit_cost(const struct backward_cut *c, const struct backward_unit *u) {
  const int64_t length = segment_length(c->s, u->segment), products = 2 + u->makes_queries + 2 * u->makes_keys;
  int64_t cost = 0;
  for (int64_t key = u->keys.begin; key < u->keys.end; key += c->key_rows) {
    const struct angel_range keys = {key, least(key + c->key_rows, u->keys.end)};
    cost += 16 * (keys.end - keys.begin);
    for (int64_t query = u->queries.begin; query < u->queries.end; query += c->query_rows) {
      const struct angel_range queries = {query, least(query + c->query_rows, u->queries.end)};
      if (!sees(c->s, length, queries, keys)) continue;
      cost += products * (queries.end - queries.begin) * (keys.end - keys.begin);
    }
  }
  return cost;
}

// Gives every unit, in order, to the part that has least to do so far; the load of the part that has most in the end. The
// units of `part` are computed with `tiles`, unless that is NULL.
struct backward_walk {
  struct backward_cut cut;
  int32_t part, parts;  // at most parts_limit
  struct backward_tiles *tiles;
  void (*differentiate)(struct backward_tiles *tiles, const struct backward_unit *unit);
};

static int64_t walk_units(const struct backward_walk *w) {
  int64_t loads[parts_limit] = {0}, heaviest = 0;
  for (int64_t pair = 0; pair < w->cut.s->segments * w->cut.s->kv_heads; pair++) {
    for (int64_t index = 0; index < unit_count(&w->cut, pair); index++) {
      const struct backward_unit unit = unit_at(&w->cut, pair, index);
      int32_t owner = 0;
      for (int32_t part = 1; part < w->parts; part++) owner = loads[part] < loads[owner] ? part : owner;
      if (w->tiles != NULL && owner == w->part) w->differentiate(w->tiles, &unit);
      loads[owner] += unit_cost(&w->cut, &unit);
      heaviest = loads[owner] > heaviest ? loads[owner] : heaviest;
    }
  }
  return heaviest;
}

// How many pairs to leave whole: all, as many as give all parts equally many, or none. Pieces cost more in all, and parts
// are often more than threads: only where the heaviest part becomes lighter by a third are they worth it.
static int64_t best_whole(struct backward_walk walk) {
  const int64_t pairs = walk.cut.s->segments * walk.cut.s->kv_heads;
  const int64_t wholes[3] = {pairs, pairs / walk.parts * walk.parts, 0};
  int64_t best = pairs, lightest = INT64_MAX;
  for (int i = 0; i < 3 && walk.parts > 1; i++) {
    walk.cut.whole = wholes[i];
    if (i > 0 && wholes[i] == wholes[i - 1]) continue;
    const int64_t heaviest = walk_units(&walk);
    if (heaviest < lightest - lightest / 3) best = wholes[i], lightest = heaviest;
  }
  return best;
}

static void backward_units(
  const void *arguments, int32_t part, int32_t parts, angel_dtype dtype,
  void (*differentiate)(struct backward_tiles *tiles, const struct backward_unit *unit)) {
  struct backward_tiles t;
  t.a = arguments, t.dtype = dtype;
  const struct angel_segment_attention_shape *s = &t.a->shape;
  t.width = (s->head_size + 15) / 16 * 16;
  t.key_rows = tile_rows(s, key_tile), t.query_rows = tile_rows(s, query_tile);
  struct backward_walk walk = {
    .cut = {.s = s, .query_rows = t.query_rows, .key_rows = t.key_rows}, .part = part,
    .parts = parts < parts_limit ? parts : parts_limit};
  walk.cut.whole = best_whole(walk);
  walk.tiles = &t, walk.differentiate = differentiate;
  walk_units(&walk);
}

#define KERNELS(name, target, isa)                                                                             \
  target static void differentiate_##name(struct backward_tiles *tiles, const struct backward_unit *unit) {    \
    differentiate_unit(tiles, unit, isa);                                                                      \
  }                                                                                                            \
  static void backward_f32_##name(const void *arguments, int32_t part, int32_t parts) {                        \
    backward_units(arguments, part, parts, ANGEL_F32, differentiate_##name);                                   \
  }                                                                                                            \
  static void backward_bf16_##name(const void *arguments, int32_t part, int32_t parts) {                       \
    backward_units(arguments, part, parts, ANGEL_BF16, differentiate_##name);                                  \
  }                                                                                                            \
  static angel_kernel backward_##name(angel_dtype dtype) {                                                     \
    return dtype == ANGEL_F32 ? backward_f32_##name : backward_bf16_##name;                                    \
  }
KERNELS(scalar, , ANGEL_ISA_PLAIN)
#if defined(ANGEL_X86)
KERNELS(avx2, ANGEL_TARGET_AVX2, ANGEL_ISA_AVX2)
KERNELS(avx512, ANGEL_TARGET_AVX512, ANGEL_ISA_AVX512)
#endif

angel_kernel angel_segment_attention_backward_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (!angel_only(ANGEL_F32, first, second, third) && !angel_only(ANGEL_BF16, first, second, third)) return NULL;
#if defined(ANGEL_X86)
  if (isa >= ANGEL_ISA_AVX512) return backward_avx512(first);
  if (isa == ANGEL_ISA_AVX2) return backward_avx2(first);
#endif
  return backward_scalar(first);
}
