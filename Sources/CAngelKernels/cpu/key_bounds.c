// key_bounds (key_bounds.h).
#include "key_bounds.h"

#include "attention_rows.h"
#include "variants.h"

// Whole blocks up to the last row of a sequence that chooses.
static int64_t bounded_blocks(const struct angel_key_bounds_arguments *a, int64_t sequence) {
  int64_t last = -1;
  for (int64_t row = 0; row < a->rows; row++) {
    if (a->choices[row] == 0 || a->cache.row_sequences[row] != sequence) continue;
    last = a->cache.row_positions[row] > last ? a->cache.row_positions[row] : last;
  }
  return (last + 1) / ANGEL_BLOCK_TOKENS;
}

// Lane `lane` of greatest and least [size][16] from the keys of a block.
ANGEL_INLINE void bound_block(
  const char *keys, int64_t size, int64_t lane, float *greatest, float *least, angel_dtype cache, angel_isa isa) {
  for (int64_t d = 0; d < size; d++) {
    f32x16 key;
    if (is_bundled(cache)) {
      const char *bundle = keys + d / bundle_elements * bundle_bytes(cache);
      const int64_t at = d % bundle_elements;
      key = bundle_scale(bundle, isa) * key_quants(bundle, at / 2, (int)(at & 1), cache);
    } else {
      key = f32x16_from(keys + d * ANGEL_BLOCK_TOKENS * cache_element(cache), cache, isa);
    }
    greatest[d * 16 + lane] = f32x16_maximum(key);
    least[d * 16 + lane] = -f32x16_maximum(-key);
  }
}

ANGEL_INLINE void bound_keys(const void *arguments, int32_t part, int32_t parts, angel_dtype cache, angel_isa isa) {
  const struct angel_key_bounds_arguments *a = arguments;
  const int64_t size = a->cache.head_size, kv_heads = a->cache.kv_heads;
  const int64_t spans = angel_bound_spans(a->cache.blocks_per_sequence);
  const struct angel_range range = angel_part_range(a->sequences * kv_heads * spans, part, parts);
  int64_t sequence = -1, blocks = 0;
  for (int64_t unit = range.begin; unit < range.end; unit++) {
    if (unit / (kv_heads * spans) != sequence) {
      sequence = unit / (kv_heads * spans);
      blocks = bounded_blocks(a, sequence);
    }
    const int64_t first = unit % spans * 16, end = first + 16 < blocks ? first + 16 : blocks;
    const int64_t *table = a->cache.block_table + sequence * a->cache.blocks_per_sequence;
    const char *keys =
      a->cache.arena + a->cache.layer_offset + unit / spans % kv_heads * cache_head_bytes(size, cache);
    float *greatest = a->bounds + unit * 2 * size * 16, *least = greatest + size * 16;
    for (int64_t b = first; b < end; b++) bound_block(keys + table[b], size, b - first, greatest, least, cache, isa);
  }
}

ANGEL_CACHE_KERNEL(key_bounds, bound_keys)
