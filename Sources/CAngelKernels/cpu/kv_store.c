// kv_store: new keys and values into their cache blocks (paged_attention.h).
#include <string.h>

#include "cache_bundles.h"
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

// The scale of a token's elements in a bundle, as float16: NaN where they are not all finite, or are too great.
ANGEL_INLINE uint16_t scale_of(const f32x16 x[2], angel_dtype cache) {
  const float high = f32x16_maximum(f32x16_max(x[0], x[1])), low = -f32x16_maximum(f32x16_max(-x[0], -x[1]));
  const float extreme = high > -low ? high : low;
  const float scale = cache == ANGEL_Q8_0 ? (extreme < 0 ? -extreme : extreme) / 127 : extreme / -8;
  // Zero times what is not finite is NaN, and a comparison with NaN is false.
  const int is_finite = f32x16_sum(x[0] * 0 + x[1] * 0) == 0 && scale < 65520 && scale > -65520;
  return is_finite ? angel_f16_from_f32(scale + 0) : 0x7e00;  // -0 + 0 is 0
}

// One token's elements of a bundle, `count` of them: a scale and the nearest multiples of it.
ANGEL_INLINE void store_bundle(
  const float *source, int64_t count, char *bundle, int64_t slot, int values, angel_dtype cache) {
  const f32x16 x[2] = {
    f32x16_load_first_or_all(source, count),
    count > 16 ? f32x16_load_first_or_all(source + 16, count - 16) : f32x16_splat(0)};
  const uint16_t half = scale_of(x, cache);
  memcpy(bundle + 2 * slot, &half, sizeof half);
  const float scale = angel_f32_from_f16(half), inverse = scale != 0 ? 1 / scale : 0;
  const int32_t greatest = cache == ANGEL_Q8_0 ? 127 : 7, least = cache == ANGEL_Q8_0 ? -127 : -8;
  int32_t quants[bundle_elements];
  for (int i = 0; i < 2; i++) {
    // Adding 1.5 * 2^23 rounds to the nearest even integer, which its lower bits then are.
    const f32x16 product = half != 0x7e00 ? x[i] * inverse : f32x16_splat(0);
    i32x16 q = (i32x16)f32x16_bits(product + 0x1.8p23f) - 0x4b400000;
    q = q > greatest ? (i32x16)greatest : q < least ? (i32x16)least : q;
    memcpy(quants + i * 16, &q, sizeof q);
  }
  char *target = bundle + bundle_scales;
  if (cache == ANGEL_Q8_0) {
    for (int64_t i = 0; i < count; i++) target[values ? slot * 32 + i : i * 16 + slot] = (char)quants[i];
    return;
  }
  for (int64_t i = 0; i < 16; i++) {  // two nibbles of one token
    const int32_t low = quants[values ? i : 2 * i], high = quants[values ? i + 16 : 2 * i + 1];
    target[values ? slot * 16 + i : i * 16 + slot] = (char)((low & 15) | high << 4);
  }
}

// One token's keys or values of one kv head in a cache of few bits.
ANGEL_INLINE void store_head(
  const float *source, int64_t size, char *target, int64_t slot, int values, angel_dtype cache) {
  float rotated[ANGEL_HEAD_SIZE_LIMIT];
  if (cache == ANGEL_Q4_0) {
    memcpy(rotated, source, sizeof(float) * (size_t)size);
    rotate_head(rotated, size);
    source = rotated;
  }
  for (int64_t i = 0; i < size; i += bundle_elements, target += bundle_bytes(cache)) {
    store_bundle(source + i, size - i < bundle_elements ? size - i : bundle_elements, target, slot, values, cache);
  }
}

ANGEL_INLINE void store_row(const struct angel_kv_store_arguments *a, int64_t row, angel_dtype cache, angel_isa isa) {
  const struct angel_paged_cache *c = &a->cache;
  const int64_t element = cache == ANGEL_F32 ? 4 : 2, size = c->head_size;
  const int64_t head_bytes = cache_head_bytes(size, cache), position = c->row_positions[row];
  const int64_t slot = position % ANGEL_BLOCK_TOKENS;
  const int64_t *blocks = c->block_table + c->row_sequences[row] * c->blocks_per_sequence;
  char *keys = c->arena + blocks[position / ANGEL_BLOCK_TOKENS] + c->layer_offset;
  char *values = keys + c->kv_heads * head_bytes;
  for (int64_t h = 0; h < c->kv_heads; h++) {
    const int64_t source = (row * c->kv_heads + h) * size, head = h * head_bytes;
    if (is_bundled(cache)) {
      store_head(a->keys + source, size, keys + head, slot, 0, cache);
      store_head(a->values + source, size, values + head, slot, 1, cache);
      continue;
    }
    for (int64_t i = 0; i < size; i += 16) {
      const int64_t count = size - i < 16 ? size - i : 16;
      char *key = keys + head + (i * ANGEL_BLOCK_TOKENS + slot) * element;
      store_elements(a->keys + source + i, count, key, ANGEL_BLOCK_TOKENS, cache, isa);
      store_elements(a->values + source + i, count, values + head + (slot * size + i) * element, 1, cache, isa);
    }
  }
}

ANGEL_INLINE void store_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype cache, angel_isa isa) {
  const struct angel_kv_store_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) store_row(a, r, cache, isa);
}

ANGEL_CACHE_KERNEL(kv_store, store_rows)
