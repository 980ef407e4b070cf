// paged_attention over caches of every dtype (paged_attention.h): who computes what.
//
// The unit of work is one row's query heads of one kv head, over all its positions or, where there is a workspace, over
// one split of them; a part owns a run of units, kv head by kv head, equal in cost. Neighbouring units that read the
// same keys and values are computed together as a tile (attention_tile.h): rows of one sequence, and rows of sequences
// whose beginnings lie in the same blocks, as far as they do.
#include "attention_engine.h"
#include "choose_blocks.h"

#if defined(__aarch64__)
DIRECT_ENGINE(scalar, , ANGEL_ISA_PLAIN)
#else
ENGINE(scalar, , ANGEL_ISA_PLAIN, NULL)  // the readable one: it always reads a copy
#endif
#if defined(ANGEL_X86)
DIRECT_ENGINE(avx2, ANGEL_TARGET_AVX2, ANGEL_ISA_AVX2)
DIRECT_ENGINE(avx512, ANGEL_TARGET_AVX512, ANGEL_ISA_AVX512)
#endif

// How a launch is cut: units are (kv head, span, row), where a span is a split, or all positions.
struct attention_units {
  const struct angel_paged_attention_arguments *a;
  const struct attention_engine *engine;
  int64_t spans, span_tokens;
  int64_t head_cost;  // of one kv head, where all cost the same
};
// A unit, in the order in which parts own them.
struct attention_unit {
  int64_t kv_head, span, row;
};

static int64_t first_position(const struct angel_paged_attention_arguments *a, int64_t row) {
  const int64_t position = a->cache.row_positions[row];
  return a->window > 0 && position >= a->window ? position - a->window + 1 : 0;
}

// The blocks a row attends to (choose_blocks.h); NULL: all it sees.
static const uint64_t *kept_blocks(const struct attention_units *u, int64_t kv_head, int64_t row) {
  if (u->a->kept == NULL) return NULL;
  const int64_t words = 1 + angel_choice_words(u->a->cache.blocks_per_sequence);
  const uint64_t *kept = u->a->kept + (kv_head * u->a->rows + row) * words;
  return kept[0] > 0 ? kept : NULL;
}

// Blocks a unit visits, and two for what is done once; 0 when the row sees nothing of the span. Rows that attend to some
// blocks are taken as a whole, with the first span.
static int64_t unit_cost(const struct attention_units *u, int64_t kv_head, int64_t span, int64_t row) {
  const uint64_t *kept = kept_blocks(u, kv_head, row);
  if (kept != NULL) return span == 0 ? (int64_t)kept[0] + 2 : 0;
  const int64_t begin = span * u->span_tokens, end = begin + u->span_tokens;
  const int64_t first = first_position(u->a, row), last = u->a->cache.row_positions[row];
  if (first >= end || last < begin) return 0;
  return (last < end ? last : end - 1) / ANGEL_BLOCK_TOKENS - (first > begin ? first : begin) / ANGEL_BLOCK_TOKENS + 3;
}

// The cost of a kv head's units.
static int64_t head_cost(const struct attention_units *u, int64_t kv_head) {
  if (u->head_cost > 0) return u->head_cost;
  int64_t cost = 0;
  for (int64_t span = 0; span < u->spans; span++) {
    for (int64_t row = 0; row < u->a->rows; row++) cost += unit_cost(u, kv_head, span, row);
  }
  return cost;
}

// The first unit of a part, so that every part costs the same. `total` is the cost of all kv heads.
static struct attention_unit first_unit(const struct attention_units *u, int64_t total, int32_t part, int32_t parts) {
  int64_t left = total * part / parts, kv_head = 0;
  for (; kv_head < u->a->cache.kv_heads; kv_head++) {
    const int64_t cost = head_cost(u, kv_head);
    if (left < cost) break;
    left -= cost;
  }
  if (left == 0) return (struct attention_unit){kv_head, 0, 0};
  for (int64_t span = 0; span < u->spans; span++) {
    for (int64_t row = 0; row < u->a->rows; row++) {
      const int64_t cost = unit_cost(u, kv_head, span, row);
      if (cost > left) return (struct attention_unit){kv_head, span, row};
      left -= cost;
    }
  }
  return (struct attention_unit){kv_head + 1, 0, 0};
}

static float *query_output(
  const struct attention_tile *t, const struct angel_paged_attention_arguments *a, int64_t q) {
  const int64_t row = t->row + q / t->heads, head = t->head + q % t->heads;
  return a->output + (row * a->heads + head) * t->size;
}

static float *query_partial(
  const struct attention_tile *t, const struct angel_paged_attention_arguments *a, int64_t q, int64_t split) {
  const int64_t row = t->row + q / t->heads, head = t->head + q % t->heads;
  const int64_t splits = angel_attention_splits(a->cache.blocks_per_sequence);
  return a->partials + ((row * a->heads + head) * splits + split) * (t->size + 2);
}

// Leaves one split of the tile in the workspace; whoever finishes a row's last split merges them all.
static void finish_partials(struct attention_tile *t, const struct attention_units *u, int64_t split) {
  const struct angel_paged_attention_arguments *a = u->a;
  const int64_t size = t->size;
  for (int64_t q = 0; q < t->count; q++) {
    if (t->begin[q] >= (split + 1) * ANGEL_SPLIT_TOKENS || t->end[q] <= split * ANGEL_SPLIT_TOKENS) continue;
    float *partial = query_partial(t, a, q, split);
    memcpy(partial, t->outputs + q * t->width, sizeof(float) * size);
    partial[size] = lane(t, t->maximum, q), partial[size + 1] = lane(t, t->sum, q);
  }
  for (int64_t q = 0; q < t->count; q += t->heads) {
    const int64_t first = t->begin[q] / ANGEL_SPLIT_TOKENS, last = (t->end[q] - 1) / ANGEL_SPLIT_TOKENS;
    if (split < first || split > last) continue;
    uint32_t *ticket = a->tickets + (t->row + q / t->heads) * a->heads + t->head;
    if (__atomic_add_fetch(ticket, 1, __ATOMIC_ACQ_REL) != last - first + 1) continue;
    __atomic_store_n(ticket, 0, __ATOMIC_RELAXED);
    for (int64_t h = q; h < q + t->heads; h++) {
      struct merged_splits merged = {.output = query_output(t, a, h)};
      for (int64_t i = first; i <= last; i++) {
        const float *partial = query_partial(t, a, h, i);
        u->engine->merge_split(&merged, partial, partial[size], partial[size + 1], size);
      }
      u->engine->normalize(&merged, size, t->source.dtype);
    }
  }
}

static const int64_t *row_blocks(const struct attention_units *u, int64_t row) {
  return u->a->cache.block_table + u->a->cache.row_sequences[row] * u->a->cache.blocks_per_sequence;
}

// Whether a row is the only one of its sequence among its neighbours.
static int is_single(const struct attention_units *u, int64_t row) {
  const int32_t *sequences = u->a->cache.row_sequences;
  return (row == 0 || sequences[row - 1] != sequences[row])
    && (row + 1 == u->a->rows || sequences[row + 1] != sequences[row]);
}

// The end of the whole splits, up to `limit`, that two rows see and that lie in the same blocks for both; 0 for none. A
// window would begin elsewhere for each.
static int64_t common_end(
  const struct attention_units *u, int64_t kv_head, int64_t row, int64_t other, int64_t limit) {
  const int32_t *positions = u->a->cache.row_positions;
  if (u->a->window > 0 || !is_single(u, row) || !is_single(u, other)) return 0;
  if (kept_blocks(u, kv_head, row) != NULL || kept_blocks(u, kv_head, other) != NULL) return 0;
  if (limit > positions[row] + 1) limit = positions[row] + 1;
  if (limit > positions[other] + 1) limit = positions[other] + 1;
  const int64_t *blocks = row_blocks(u, row), *others = row_blocks(u, other);
  int64_t end = 0;
  while (end + ANGEL_SPLIT_TOKENS <= limit && memcmp(blocks, others, sizeof(*blocks) * split_blocks) == 0) {
    blocks += split_blocks, others += split_blocks, end += ANGEL_SPLIT_TOKENS;
  }
  return end;
}

// Rows from `row` on, before `last_row`, that have a beginning up to `limit` in common; *end is that of the first two,
// and of the others no more is compared.
static int64_t common_rows(
  const struct attention_units *u, int64_t kv_head, int64_t row, int64_t last_row, int64_t limit, int64_t *end) {
  int64_t run = 1;
  *end = row + 1 < last_row ? common_end(u, kv_head, row, row + 1, limit) : 0;
  if (*end == 0) return run;
  for (run = 2; row + run < last_row && common_end(u, kv_head, row, row + run, *end) == *end;) run++;
  return run;
}

// Keys, values and queries of a tile whose rows and heads are set.
static void load_tile(struct attention_tile *t, const struct attention_units *u) {
  const struct angel_paged_attention_arguments *a = u->a;
  const int64_t kv_heads = a->cache.kv_heads, kv_head = t->head / (a->heads / kv_heads);
  const int64_t bytes = cache_head_bytes(t->size, t->source.dtype);
  t->source.keys = a->cache.arena + a->cache.layer_offset + kv_head * bytes;
  t->source.values = t->source.keys + kv_heads * bytes;
  t->source.blocks = row_blocks(u, t->row);
  set_strips(t);
  u->engine->load_queries(t, a->queries, a->heads, ANGEL_F32);
}

// Rows of several sequences over all positions: together up to `common`, which lies in the same blocks for all, then
// each by itself from what that gave.
static void attend_common(struct attention_tile *t, const struct attention_units *u, int64_t common) {
  const struct angel_paged_attention_arguments *a = u->a;
  const int64_t row = t->row, rows = t->rows;
  struct merged_splits merged[tile_queries];
  load_tile(t, u);
  for (int64_t q = 0; q < t->count; q++) {
    t->begin[q] = 0, t->end[q] = common;
    merged[q] = (struct merged_splits){.output = query_output(t, a, q)};
  }
  t->ahead_end = common;
  attend_splits(t, 0, common, merged, u->engine);
  for (int64_t r = 0; r < rows; r++) {
    t->row = row + r, t->rows = 1;
    const int64_t end = (int64_t)a->cache.row_positions[t->row] + 1;
    load_tile(t, u);
    for (int64_t q = 0; q < t->count; q++) t->begin[q] = 0, t->end[q] = end;
    t->ahead_end = end;
    attend_whole(t, common, end, merged + r * t->heads, u->engine);
  }
}

// One tile over one span: its rows and heads are set.
static void attend_tile(struct attention_tile *t, const struct attention_units *u, int64_t span) {
  const struct angel_paged_attention_arguments *a = u->a;
  load_tile(t, u);
  int64_t begin = INT64_MAX, end = 0;
  for (int64_t q = 0; q < t->count; q++) {
    const int64_t row = t->row + q / t->heads;
    t->begin[q] = first_position(a, row);
    t->end[q] = (int64_t)a->cache.row_positions[row] + 1;
    begin = t->begin[q] < begin ? t->begin[q] : begin;
    end = t->end[q] > end ? t->end[q] : end;
  }
  if (u->spans == 1) {
    struct merged_splits merged[tile_queries];
    for (int64_t q = 0; q < t->count; q++) merged[q] = (struct merged_splits){.output = query_output(t, a, q)};
    t->ahead_end = end;
    attend_whole(t, begin, end, merged, u->engine);
    return;
  }
  begin = clamp(begin, span * u->span_tokens, (span + 1) * u->span_tokens);
  t->ahead_end = t->ahead_end < end ? t->ahead_end : end;
  attend_split(t, begin, clamp(end, begin, (span + 1) * u->span_tokens), u->engine);
  finish_partials(t, u, span);
}

// The next kept block at or after `block`; there is one.
static int64_t next_kept(const uint64_t *bits, int64_t block) {
  uint64_t left = bits[block / 64] >> block % 64;
  if (left != 0) return block + __builtin_ctzll(left);
  for (block = block / 64 + 1; bits[block] == 0;) block++;
  return block * 64 + __builtin_ctzll(bits[block]);
}

// One row over the blocks it attends to, split by split; those of the next group are known ahead.
static void attend_kept(struct attention_tile *t, const struct attention_units *u, const uint64_t *kept) {
  enum { list_blocks = split_blocks + group_blocks };
  const struct angel_paged_attention_arguments *a = u->a;
  const int64_t *blocks = row_blocks(u, t->row), count = (int64_t)kept[0];
  const int64_t tokens = (count - 1) * ANGEL_BLOCK_TOKENS + a->cache.row_positions[t->row] % ANGEL_BLOCK_TOKENS + 1;
  int64_t list[list_blocks], listed = 0, next = 0;
  struct merged_splits merged[tile_queries];
  load_tile(t, u);
  t->source.blocks = list;
  for (int64_t q = 0; q < t->count; q++) merged[q] = (struct merged_splits){.output = query_output(t, a, q)};
  for (int64_t first = 0; first < count; first += split_blocks) {
    int64_t length = first == 0 ? 0 : group_blocks;
    memmove(list, list + split_blocks, sizeof *list * length);
    for (; length < list_blocks && listed < count; length++, listed++) {
      next = next_kept(kept + 1, next);
      list[length] = blocks[next++];
    }
    const int64_t end = clamp(tokens - first * ANGEL_BLOCK_TOKENS, 0, ANGEL_SPLIT_TOKENS);
    for (int64_t q = 0; q < t->count; q++) t->begin[q] = 0, t->end[q] = end;
    t->ahead_end = tokens - first * ANGEL_BLOCK_TOKENS;
    attend_splits(t, 0, end, merged, u->engine);
  }
  for (int64_t q = 0; q < t->count; q++) u->engine->normalize(&merged[q], t->size, t->source.dtype);
}

// Rows [row, last_row) of one kv head over one span, in tiles of equal size: of rows of one sequence, or of rows that
// have the span, or the beginning of all positions, in common.
static void attend_rows(
  struct attention_tile *t, const struct attention_units *u, int64_t kv_head, int64_t span, int64_t row,
  int64_t last_row) {
  const int32_t *sequences = u->a->cache.row_sequences;
  const int64_t group = u->a->heads / u->a->cache.kv_heads, limit = tile_limit(t->size);
  while (row < last_row) {
    // Of several spans, one is common as a whole or not at all.
    const int64_t whole = u->spans > 1 ? (span + 1) * u->span_tokens : 0;
    int64_t common, run = common_rows(u, kv_head, row, last_row, whole > 0 ? whole : INT64_MAX, &common);
    if (common < whole) common = 0;
    const uint64_t *kept = kept_blocks(u, kv_head, row);
    if (kept != NULL) {
      run = span == 0;
    } else if (common == 0) {
      const int32_t sequence = sequences[row];
      for (run = 0; row + run < last_row && sequences[row + run] == sequence; run++) {
        if (kept_blocks(u, kv_head, row + run) != NULL || unit_cost(u, kv_head, span, row + run) == 0) break;
      }
    }
    for (int64_t head = 0; head < group && run > 0; head += t->heads) {
      t->heads = group - head < limit ? group - head : limit;
      t->head = kv_head * group + head;
      const int64_t most = limit / t->heads, tiles = (run + most - 1) / most;
      for (int64_t tile = 0; tile < tiles; tile++) {
        t->row = row + run * tile / tiles;
        t->rows = row + run * (tile + 1) / tiles - t->row;
        if (kept != NULL) {
          attend_kept(t, u, kept);
        } else if (u->spans == 1 && common > 0) {
          attend_common(t, u, common);
        } else {
          attend_tile(t, u, span);
        }
      }
    }
    row += run > 0 ? run : 1;
  }
}

static void attend(
  const void *arguments, int32_t part, int32_t parts, angel_dtype cache, const struct attention_engine *engine) {
  const struct angel_paged_attention_arguments *a = arguments;
  struct attention_tile t;
  t.source.dtype = cache;
  t.size = a->cache.head_size, t.scale = a->scale, t.softcap = a->softcap;
  struct attention_units u = {.a = a, .engine = engine, .spans = 1, .span_tokens = INT64_MAX / 2};
  int64_t greatest = 0;
  for (int64_t row = 0; row < a->rows && a->partials != NULL; row++) {
    greatest = a->cache.row_positions[row] > greatest ? a->cache.row_positions[row] : greatest;
  }
  if (greatest >= ANGEL_SPLIT_TOKENS) {
    u.span_tokens = ANGEL_SPLIT_TOKENS;
    u.spans = greatest / ANGEL_SPLIT_TOKENS + 1;
  }
  int64_t total = 0;
  if (a->kept == NULL) u.head_cost = head_cost(&u, 0);
  for (int64_t kv_head = 0; kv_head < a->cache.kv_heads; kv_head++) total += head_cost(&u, kv_head);
  if (total == 0) return;
  struct attention_unit unit = first_unit(&u, total, part, parts);
  const struct attention_unit end = first_unit(&u, total, part + 1, parts);
  for (; unit.kv_head <= end.kv_head; unit.kv_head++, unit.span = 0) {
    const int64_t spans = unit.kv_head < end.kv_head ? u.spans : end.span + 1;
    for (; unit.span < spans; unit.span++, unit.row = 0) {
      const int last = unit.kv_head == end.kv_head && unit.span == end.span;
      // The next span is fetched ahead when it is this part's too.
      const int64_t ahead = unit.span + 1 + (unit.span + 1 < spans - (end.row == 0));
      t.ahead_end = ahead * ANGEL_SPLIT_TOKENS;
      attend_rows(&t, &u, unit.kv_head, unit.span, unit.row, last ? end.row : a->rows);
    }
  }
}

#define KERNEL(name, dtype, isa)                                                                            \
  static void paged_attention_##name##_##isa(const void *arguments, int32_t part, int32_t parts) {          \
    attend(arguments, part, parts, dtype, &engine_##isa);                                                   \
  }
#define KERNELS(isa)              \
  KERNEL(f32, ANGEL_F32, isa)     \
  KERNEL(f16, ANGEL_F16, isa)     \
  KERNEL(bf16, ANGEL_BF16, isa)   \
  KERNEL(q8_0, ANGEL_Q8_0, isa)   \
  KERNEL(q4_0, ANGEL_Q4_0, isa)   \
  static angel_kernel paged_attention_##isa(angel_dtype cache) {              \
    if (cache == ANGEL_F32) return paged_attention_f32_##isa;                 \
    if (cache == ANGEL_F16) return paged_attention_f16_##isa;                 \
    if (cache == ANGEL_Q8_0) return paged_attention_q8_0_##isa;               \
    if (cache == ANGEL_Q4_0) return paged_attention_q4_0_##isa;               \
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
