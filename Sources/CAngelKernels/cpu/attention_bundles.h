// The inner loops of attention_strips.h over a cache of few bits, read as it lies: the same sums over the same numbers.
#pragma once
#include "attention_rows.h"

// scores[q][token] = sum over d of queries[q][d] * keys[d][token], d ascending, for `blocks` blocks from `first`; depth
// is a multiple of bundle_elements.
ANGEL_INLINE void score_bundles(
  const float *queries, int64_t stride, const struct cache_rows *keys, int64_t first, int64_t depth, float *scores,
  const int count, const int blocks, const angel_dtype cache, const angel_isa isa) {
  f32x16 sums[strip_queries * strip_vectors_limit];
  scores += first * ANGEL_BLOCK_TOKENS;
#pragma clang loop unroll(full)
  for (int i = 0; i < count * blocks; i++) sums[i] = f32x16_splat(0);
  const int64_t line_pairs = 32 / lane_bytes(cache);  // pairs of rows in a cache line
  for (int64_t d = 0, offset = 0; d < depth; d += bundle_elements, offset += bundle_bytes(cache)) {
    f32x16 scales[strip_vectors_limit];
    const char *bundles[strip_vectors_limit];
#pragma clang loop unroll(full)
    for (int b = 0; b < blocks; b++) {
      bundles[b] = keys->blocks[first + b] + offset;
      scales[b] = bundle_scale(bundles[b], isa);
    }
    for (int64_t pair = 0; pair < bundle_elements / 2; pair++) {
      if (pair % line_pairs == 0) {
#pragma clang loop unroll(full)
        for (int b = 0; b < blocks; b++) fetch_ahead(keys->next[first + b] + offset + pair / line_pairs * 64);
      }
#pragma clang loop unroll(full)
      for (int half = 0; half < 2; half++) {
        f32x16 key[strip_vectors_limit];
#pragma clang loop unroll(full)
        for (int b = 0; b < blocks; b++) key[b] = scales[b] * key_quants(bundles[b], pair, half, cache);
#pragma clang loop unroll(full)
        for (int q = 0; q < count; q++) {
          const f32x16 query = f32x16_splat(queries[q * stride + d + pair * 2 + half]);
#pragma clang loop unroll(full)
          for (int b = 0; b < blocks; b++) sums[q * blocks + b] = f32x16_fma(query, key[b], sums[q * blocks + b]);
        }
      }
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count * blocks; i++) {
    f32x16_store(scores + i / blocks * ANGEL_GROUP_TOKENS + i % blocks * ANGEL_BLOCK_TOKENS, sums[i]);
  }
}

// outputs[q] = outputs[q] * corrections[q], then fma(weights[q][token], values[token], outputs[q]), tokens from ..< to.
// Several vectors begin with a bundle.
ANGEL_INLINE void value_bundles(
  const struct value_strip *s, const struct cache_rows *values, int64_t vector, int64_t from, int64_t to,
  const int count, const int vectors, const angel_dtype cache, const angel_isa isa) {
  enum { bundles_limit = strip_vectors_limit / 2 };
  f32x16 sums[strip_queries * strip_vectors_limit];
  float *outputs = s->outputs + vector * 16;
  const int bundles = (vectors + 1) / 2;
#pragma clang loop unroll(full)
  for (int i = 0; i < count * vectors; i++) {
    sums[i] = f32x16_load(outputs + i / vectors * s->output_stride + i % vectors * 16) * s->corrections[i / vectors];
  }
  for (int64_t token = from; token < to;) {
    const int64_t block = token / ANGEL_BLOCK_TOKENS, block_end = (block + 1) * ANGEL_BLOCK_TOKENS;
    const int64_t stop = block_end < to ? block_end : to, offset = vector / 2 * bundle_bytes(cache);
    const char *bundle = values->blocks[block] + offset, *next = values->next[block] + offset;
    float scales[bundles_limit][ANGEL_BLOCK_TOKENS];
#pragma clang loop unroll(full)
    for (int i = 0; i < bundles; i++) {
      f32x16_store(scales[i], bundle_scale(bundle + i * bundle_bytes(cache), isa));
    }
    for (int64_t slot = token % ANGEL_BLOCK_TOKENS; token < stop; token++, slot++) {
      const float *weights = s->weights + token;
      f32x16 value[strip_vectors_limit];
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) {
        const int half = vectors == 1 ? (int)(vector % 2) : v % 2;
        value[v] = scales[v / 2][slot] * value_quants(bundle + v / 2 * bundle_bytes(cache), slot, half, cache);
      }
#pragma clang loop unroll(full)
      for (int i = 0; i < bundles; i++) {
        fetch_ahead(next + i * bundle_bytes(cache) + bundle_scales + slot * 2 * lane_bytes(cache));
      }
#pragma clang loop unroll(full)
      for (int q = 0; q < count; q++) {
        const f32x16 weight = f32x16_splat(weights[q * ANGEL_GROUP_TOKENS]);
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) sums[q * vectors + v] = f32x16_fma(weight, value[v], sums[q * vectors + v]);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count * vectors; i++) {
    f32x16_store(outputs + i / vectors * s->output_stride + i % vectors * 16, sums[i]);
  }
}
