// kv_store: new keys and values into their cache blocks (paged_attention.h).
#include <string.h>

#include "lanes.h"
#include "paged_attention.h"
#include "variants.h"

// Up to 16 float32 values as cache elements: `target[i * stride]`.
ANGEL_INLINE void store_elements(
  const float *source, int64_t count, char *target, int64_t stride, angel_dtype cache, angel_isa isa) {
  if (cache == ANGEL_F32) {
    float *floats = (float *)target;
    for (int64_t i = 0; i < count; i++) floats[i * stride] = source[i];
    return;
  }
  const f32x16 lanes = count == 16 ? f32x16_load(source) : f32x16_load_first(source, count);
  const u16x16 rounded = u16x16_from(lanes, cache, isa);
  uint16_t elements[16], *halves = (uint16_t *)target;
  memcpy(elements, &rounded, sizeof elements);
  for (int64_t i = 0; i < count; i++) halves[i * stride] = elements[i];
}

ANGEL_INLINE void store_row(const struct angel_kv_store_arguments *a, int64_t row, angel_dtype cache, angel_isa isa) {
  const struct angel_paged_cache *c = &a->cache;
  const int64_t element = cache == ANGEL_F32 ? 4 : 2, size = c->head_size;
  const int64_t position = c->row_positions[row], slot = position % ANGEL_BLOCK_TOKENS;
  const int64_t *blocks = c->block_table + c->row_sequences[row] * c->blocks_per_sequence;
  char *keys = c->arena + blocks[position / ANGEL_BLOCK_TOKENS] + c->layer_offset;
  char *values = keys + c->kv_heads * size * ANGEL_BLOCK_TOKENS * element;
  for (int64_t h = 0; h < c->kv_heads; h++) {
    const int64_t source = (row * c->kv_heads + h) * size, head = h * size * ANGEL_BLOCK_TOKENS;
    for (int64_t i = 0; i < size; i += 16) {
      const int64_t count = size - i < 16 ? size - i : 16;
      char *key = keys + (head + i * ANGEL_BLOCK_TOKENS + slot) * element;
      store_elements(a->keys + source + i, count, key, ANGEL_BLOCK_TOKENS, cache, isa);
      store_elements(a->values + source + i, count, values + (head + slot * size + i) * element, 1, cache, isa);
    }
  }
}

ANGEL_INLINE void store_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype cache, angel_isa isa) {
  const struct angel_kv_store_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) store_row(a, r, cache, isa);
}

#define KV_STORE(name, dtype)                                                                              \
  ANGEL_INLINE void name##_rows(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {       \
    store_rows(arguments, part, parts, dtype, isa);                                                        \
  }                                                                                                        \
  ANGEL_VARIANTS(name, name##_rows)
KV_STORE(kv_store_f32, ANGEL_F32)
KV_STORE(kv_store_f16, ANGEL_F16)
KV_STORE(kv_store_bf16, ANGEL_BF16)

angel_kernel angel_kv_store_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (first != ANGEL_F32 || third != ANGEL_NO_DTYPE) return NULL;
  if (second == ANGEL_F32) return kv_store_f32_variant(isa);
  if (second == ANGEL_F16) return kv_store_f16_variant(isa);
  return second == ANGEL_BF16 ? kv_store_bf16_variant(isa) : NULL;
}
