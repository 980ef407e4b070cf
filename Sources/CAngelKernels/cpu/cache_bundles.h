// A cache of few bits: where its bundles lie, and their numbers as float32 (paged_attention.h). A scale has 11
// significant bits and a quant at most 8, so that their product is exact and every way to make it gives the same bits.
#pragma once
#include <string.h>

#include "paged_attention.h"
#include "vector_math.h"

typedef int8_t i8x16 __attribute__((ext_vector_type(16)));

enum {
  bundle_elements = ANGEL_BUNDLE_ELEMENTS,
  bundle_scales = 2 * ANGEL_BLOCK_TOKENS,  // bytes of a bundle's scales, which come first
};

ANGEL_INLINE int is_bundled(angel_dtype cache) { return cache == ANGEL_Q8_0 || cache == ANGEL_Q4_0; }

// Bytes of the quants that 16 lanes of one row have.
ANGEL_INLINE int64_t lane_bytes(angel_dtype cache) { return cache == ANGEL_Q8_0 ? 16 : 8; }

ANGEL_INLINE int64_t bundle_bytes(angel_dtype cache) { return bundle_scales + bundle_elements * lane_bytes(cache); }

ANGEL_INLINE int64_t bundle_count(int64_t size) { return (size + bundle_elements - 1) / bundle_elements; }

// Bytes of the keys, or values, of one kv head in a block.
ANGEL_INLINE int64_t cache_head_bytes(int64_t size, angel_dtype cache) {
  if (is_bundled(cache)) return bundle_count(size) * bundle_bytes(cache);
  return size * ANGEL_BLOCK_TOKENS * (cache == ANGEL_F32 ? 4 : 2);
}

// Sixteen quants, of which `half` says which of two a row of nibbles holds: 0 the lower, 1 the upper ones.
ANGEL_INLINE f32x16 quants_from(const char *source, int half, angel_dtype cache) {
  i8x16 bytes;
  memcpy(&bytes, source, sizeof bytes);
  if (cache == ANGEL_Q8_0) return __builtin_convertvector(bytes, f32x16);
  const u32x16 nibbles = (u32x16)__builtin_convertvector(bytes, i32x16) << (28 - 4 * half);
  return __builtin_convertvector((i32x16)nibbles >> 28, f32x16);
}

// Element 2 pair + half of a bundle's keys, a lane a token; times the scales they are the keys.
ANGEL_INLINE f32x16 key_quants(const char *bundle, int64_t pair, int half, angel_dtype cache) {
  const char *quants = bundle + bundle_scales + pair * 2 * lane_bytes(cache);
  return quants_from(cache == ANGEL_Q8_0 ? quants + half * 16 : quants, half, cache);
}

// Elements half * 16 ..< half * 16 + 16 of a token's values in a bundle.
ANGEL_INLINE f32x16 value_quants(const char *bundle, int64_t token, int half, angel_dtype cache) {
  const char *quants = bundle + bundle_scales + token * 2 * lane_bytes(cache);
  return quants_from(cache == ANGEL_Q8_0 ? quants + half * 16 : quants, half, cache);
}

// The scales of a bundle, a lane a token.
ANGEL_INLINE f32x16 bundle_scale(const char *bundle, angel_isa isa) { return f32x16_from(bundle, ANGEL_F16, isa); }

// Elements 0 ..< count of head_size of a block's keys as float32 [count][16], from a run of bundles.
ANGEL_INLINE void convert_keys(const char *bundle, int64_t count, float *room, angel_dtype cache, angel_isa isa) {
  for (int64_t d = 0; d < count; d += bundle_elements, bundle += bundle_bytes(cache)) {
    const f32x16 scale = bundle_scale(bundle, isa);
    const int64_t left = count - d < bundle_elements ? count - d : bundle_elements;
    for (int64_t i = 0; i < left; i++, room += 16) {
      f32x16_store(room, scale * key_quants(bundle, i / 2, (int)(i & 1), cache));
    }
  }
}

// Elements 0 ..< width of head_size, whole vectors, of a block's values as float32 [16][width].
ANGEL_INLINE void convert_values(const char *bundle, int64_t width, float *room, angel_dtype cache, angel_isa isa) {
  for (int64_t d = 0; d < width; d += bundle_elements, bundle += bundle_bytes(cache)) {
    float scales[ANGEL_BLOCK_TOKENS];
    f32x16_store(scales, bundle_scale(bundle, isa));
    for (int64_t token = 0; token < ANGEL_BLOCK_TOKENS; token++) {
      float *row = room + token * width + d;
      f32x16_store(row, scales[token] * value_quants(bundle, token, 0, cache));
      if (d + 16 < width) f32x16_store(row + 16, scales[token] * value_quants(bundle, token, 1, cache));
    }
  }
}

// x times a Hadamard matrix of `span` <= 16 lanes, not yet scaled, in each span of 16 lanes.
ANGEL_INLINE f32x16 rotate_lanes(f32x16 x, int64_t span) {
  const i32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#define BUTTERFLY(h, ...) \
  if (span > h) x = __builtin_shufflevector(x, x, __VA_ARGS__) + (((lane & h) != 0) ? -x : x);
  BUTTERFLY(1, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
  BUTTERFLY(2, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
  BUTTERFLY(4, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
  BUTTERFLY(8, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#undef BUTTERFLY
  return x;
}

// The rotation of heads in a cache of 4 bits, in place; it is its own inverse.
ANGEL_INLINE void rotate_head(float *head, int64_t size) {
  const int64_t power = size & -size, span = power < bundle_elements ? power : bundle_elements;
  for (int64_t i = 0; i < size; i += 16) {
    const int64_t left = size - i < 16 ? size - i : 16;
    f32x16_write(head, i, rotate_lanes(f32x16_read(head, i, left, ANGEL_F32), span), left, ANGEL_F32);
  }
  for (int64_t i = 0; i < size && span > 16; i += 32) {
    const f32x16 a = f32x16_load(head + i), b = f32x16_load(head + i + 16);
    f32x16_store(head + i, a + b);
    f32x16_store(head + i + 16, a - b);
  }
  float factor = 1;
  for (int64_t h = span; h > 1; h /= 4) factor *= h == 2 ? 0x1.6a09e6p-1f : 0.5f;
  for (int64_t i = 0; i < size; i++) head[i] *= factor;
}
