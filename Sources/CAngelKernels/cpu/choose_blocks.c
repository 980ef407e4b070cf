// choose_blocks (choose_blocks.h).
#include "choose_blocks.h"

#include "attention_tile.h"
#include "variants.h"

enum {
  choice_blocks = ANGEL_CHOICE_LIMIT / ANGEL_BLOCK_TOKENS,
  choice_floats = 2 * ANGEL_HEAD_SIZE_LIMIT,  // room for the query vectors of a strip, each in two halves
};

// What is known of one row and kv head.
struct choice {
  _Alignas(64) float bounds[strip_queries][choice_blocks];  // of a strip of query heads
  _Alignas(64) float shares[choice_blocks];
  _Alignas(64) float queries[choice_floats + 16];
};

// Query heads first ..< first + count of a row, as [max(q, 0), min(q, 0)] each.
ANGEL_INLINE void load_halves(
  const struct angel_choose_blocks_arguments *a, int64_t row, int64_t first, int64_t count, float *halves,
  angel_dtype cache) {
  const int64_t size = a->cache.head_size;
  const float factor = query_factor(a->scale, a->softcap);
  for (int64_t h = 0; h < count; h++, halves += 2 * size) {
    memcpy(halves, a->queries + (row * a->heads + first + h) * size, sizeof(float) * size);
    if (cache == ANGEL_Q4_0) rotate_head(halves, size);
    for (int64_t d = 0; d < size; d++) {
      const float q = halves[d] * factor;
      halves[d] = q > 0 ? q : 0;
      halves[size + d] = q > 0 ? 0 : q;
    }
  }
}

// Bounds of `count` loaded query vectors for the blocks of a kv head.
ANGEL_INLINE void bound_scores(
  struct choice *c, const float *spans, int64_t size, int64_t blocks, int64_t count, angel_isa isa) {
  _Alignas(64) float scores[strip_queries * ANGEL_GROUP_TOKENS];
  const int64_t depth = 2 * size, limit = (blocks + 15) / 16;
  for (int64_t first = 0; first < limit; first += group_blocks) {
    const int64_t last = limit - first < group_blocks ? limit - first : group_blocks;
    struct cache_rows keys = {.stride = ANGEL_BLOCK_TOKENS};
    for (int64_t b = 0; b < last; b++) keys.blocks[b] = (const char *)(spans + (first + b) * depth * 16);
    const float *queries = c->queries;
#define SCORES(n) score_strip(queries, depth, &keys, 0, last, depth, 0, scores, n, ANGEL_F32, 0, isa)
    if (isa != ANGEL_ISA_SCALAR) STRIP_COUNTED(count, SCORES)
    for (int64_t h = 0; h < count; h++) {
      if (isa == ANGEL_ISA_SCALAR) SCORES(1);
      const float *found = isa == ANGEL_ISA_SCALAR ? scores : scores + h * ANGEL_GROUP_TOKENS;
      memcpy(c->bounds[h] + first * 16, found, sizeof(float) * last * 16);
      queries += depth;
    }
#undef SCORES
  }
}

// Adds the shares of one query head, whose bounds become weights.
ANGEL_INLINE void add_shares(struct choice *c, float *bounds, int64_t blocks, float cap) {
  const i32x16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  f32x16 greatest = f32x16_splat(-INFINITY), sum = f32x16_splat(0);
  for (int64_t b = 0; b < blocks; b += 16) {
    f32x16 bound = f32x16_load(bounds + b);
    if (cap > 0) bound = cap * 0x1.715476p+0f * f32x16_tanh(bound / cap);
    bound = lanes + (int32_t)b < (int32_t)blocks ? bound : f32x16_splat(-INFINITY);
    f32x16_store(bounds + b, bound);
    greatest = f32x16_max(greatest, bound);
  }
  const float maximum = f32x16_maximum(greatest);
  for (int64_t b = 0; b < blocks; b += 16) {
    const f32x16 weight = f32x16_exp2_weight(f32x16_load(bounds + b) - maximum);
    f32x16_store(bounds + b, weight);
    sum += weight;
  }
  const float factor = 1 / f32x16_sum(sum);
  for (int64_t b = 0; b < blocks; b += 16) {
    f32x16_store(c->shares + b, f32x16_load(c->shares + b) + f32x16_load(bounds + b) * factor);
  }
}

// The sum of all shares that are at least `least`.
ANGEL_INLINE float share_sum(const float *shares, int64_t blocks, float least) {
  f32x16 sum = f32x16_splat(0);
  for (int64_t b = 0; b < blocks; b += 16) {
    const f32x16 share = f32x16_load(shares + b);
    sum += share >= least ? share : f32x16_splat(0);
  }
  return f32x16_sum(sum);
}

// The least share of those that are kept, so that they have `wanted` together.
ANGEL_INLINE float least_share(const float *shares, int64_t blocks, float wanted, float most) {
  uint32_t low = 0, high;
  memcpy(&high, &most, sizeof high);
  for (int step = 0; step < ANGEL_CHOICE_STEPS; step++) {
    const uint32_t middle = low + (high - low) / 2;
    float least;
    memcpy(&least, &middle, sizeof least);
    if (share_sum(shares, blocks, least) >= wanted) low = middle;
    else high = middle;
  }
  float least;
  memcpy(&least, &low, sizeof least);
  return least;
}

// Sets the bits of what is kept of `seen` blocks, `whole` of which have shares, and clears those of later blocks; how
// many are kept.
ANGEL_INLINE int64_t keep_blocks(
  struct choice *c, int64_t seen, int64_t whole, float share, float heads, uint64_t *bits, int64_t words) {
  const int64_t local = seen - ANGEL_LOCAL_BLOCKS;  // the first of the last ones
  float all = share_sum(c->shares, whole, 0), wanted = share * all;
  if (!(all > 0 && all < INFINITY)) return seen;
  wanted -= c->shares[0];
  c->shares[0] = 0;
  for (int64_t b = local; b < whole; b++) {
    wanted -= c->shares[b];
    c->shares[b] = 0;
  }
  const float least = wanted > 0 ? least_share(c->shares, whole, wanted, heads) : INFINITY;
  int64_t count = 1 + ANGEL_LOCAL_BLOCKS;
  memset(bits, 0, sizeof *bits * words);
  bits[0] = 1;
  for (int64_t b = local; b < seen; b++) bits[b / 64] |= (uint64_t)1 << b % 64;
  for (int64_t b = 1; b < local; b++) {
    const uint64_t kept = c->shares[b] >= least;
    bits[b / 64] |= kept << b % 64;
    count += (int64_t)kept;
  }
  return count;
}

// Blocks a row sees; 0 where it attends to all of them.
static int64_t seen_blocks(const struct angel_choose_blocks_arguments *a, int64_t row) {
  const int64_t seen = a->cache.row_positions[row] / ANGEL_BLOCK_TOKENS + 1;
  return a->choices[row] != 0 && a->share < 1 && seen > 1 + ANGEL_LOCAL_BLOCKS ? seen : 0;
}

// Whole blocks up to a row.
static int64_t whole_blocks(const struct angel_choose_blocks_arguments *a, int64_t row) {
  return (a->cache.row_positions[row] + 1) / ANGEL_BLOCK_TOKENS;
}

// Rows from `row` on, before `last`, that read bounds together: choosing ones of one sequence whose query heads fill a
// strip.
static int64_t strip_rows(const struct angel_choose_blocks_arguments *a, int64_t row, int64_t last, int64_t strip) {
  const int64_t limit = strip / (a->heads / a->cache.kv_heads);
  int64_t rows = 1;
  for (; rows < limit && row + rows < last && seen_blocks(a, row + rows) > 0; rows++) {
    if (a->cache.row_sequences[row + rows] != a->cache.row_sequences[row]) break;
  }
  return rows;
}

// The choices of rows row ..< row + rows, several only where a strip has all their query heads.
ANGEL_INLINE void choose_rows(
  struct choice *c, const struct angel_choose_blocks_arguments *a, int64_t kv_head, int64_t row, int64_t rows,
  int64_t strip, angel_dtype cache, angel_isa isa) {
  const int64_t size = a->cache.head_size, group = a->heads / a->cache.kv_heads;
  const int64_t spans = angel_bound_spans(a->cache.blocks_per_sequence);
  const int64_t words = 1 + angel_choice_words(a->cache.blocks_per_sequence);
  const float *bounds =
    a->bounds + (a->cache.row_sequences[row] * a->cache.kv_heads + kv_head) * spans * 2 * size * 16;
  int64_t most = 0;
  for (int64_t r = row; r < row + rows; r++) most = whole_blocks(a, r) > most ? whole_blocks(a, r) : most;
  for (int64_t head = 0; head < group; head += strip) {
    const int64_t count = group - head < strip ? group - head : strip;
    for (int64_t r = 0; r < rows; r++) {
      load_halves(a, row + r, kv_head * group + head, count, c->queries + r * count * 2 * size, cache);
    }
    bound_scores(c, bounds, size, most, rows * count, isa);
    for (int64_t r = 0; r < rows; r++) {
      const int64_t whole = whole_blocks(a, row + r), seen = seen_blocks(a, row + r);
      if (head == 0) memset(c->shares, 0, sizeof(float) * ((whole + 15) / 16 * 16));
      for (int64_t h = r * count; h < (r + 1) * count; h++) add_shares(c, c->bounds[h], whole, a->softcap);
      if (head + count < group) continue;
      uint64_t *kept = a->kept + (kv_head * a->rows + row + r) * words;
      const int64_t kept_count = keep_blocks(c, seen, whole, a->share, (float)group, kept + 1, words - 1);
      kept[0] = kept_count < seen ? (uint64_t)kept_count : 0;
    }
  }
}

ANGEL_INLINE void choose(const void *arguments, int32_t part, int32_t parts, angel_dtype cache, angel_isa isa) {
  const struct angel_choose_blocks_arguments *a = arguments;
  const int64_t words = 1 + angel_choice_words(a->cache.blocks_per_sequence);
  const int64_t strip = clamp(choice_floats / (2 * a->cache.head_size), 1, strip_queries);
  const struct angel_range range = angel_part_range(a->cache.kv_heads * a->rows, part, parts);
  struct choice c;
  for (int64_t unit = range.begin, rows; unit < range.end; unit += rows) {
    const int64_t kv_head = unit / a->rows, row = unit % a->rows, left = range.end - unit;
    rows = 1;
    if (seen_blocks(a, row) == 0) {
      a->kept[unit * words] = 0;
      continue;
    }
    rows = strip_rows(a, row, row + left < a->rows ? row + left : a->rows, strip);
    choose_rows(&c, a, kv_head, row, rows, strip, cache, isa);
  }
}

ANGEL_INLINE void choose_body(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  choose(arguments, part, parts, ANGEL_F32, isa);
}
ANGEL_INLINE void choose_rotated_body(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  choose(arguments, part, parts, ANGEL_Q4_0, isa);
}
ANGEL_VARIANTS(choose_blocks, choose_body)
ANGEL_VARIANTS(choose_blocks_rotated, choose_rotated_body)

angel_kernel angel_choose_blocks_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (first != ANGEL_F32 || third != ANGEL_NO_DTYPE) return NULL;
  if (second == ANGEL_Q4_0) return choose_blocks_rotated_variant(isa);
  const int is_plain = second == ANGEL_F32 || second == ANGEL_F16 || second == ANGEL_BF16 || second == ANGEL_Q8_0;
  return is_plain ? choose_blocks_variant(isa) : NULL;
}
