// The inner loops of paged_attention: strips of a few queries against one chunk of keys or values, kept in registers.
// Per query the order of operations is that of the contract; strip sizes only decide what shares a load.
#pragma once
#include <string.h>

#include "vector_math.h"

enum {
  strip_depth = 64,  // of head_size: a chunk of a block converted to float32 is 4 KiB
  few_queries = 4,   // at most so many take four blocks of keys at a time
};

// `count` cache elements as float32, padded with zeros to whole vectors.
ANGEL_INLINE void convert_run(const char *source, int64_t count, float *room, angel_dtype cache, angel_isa isa) {
  const int64_t element = cache == ANGEL_F32 ? 4 : 2;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) f32x16_store(room + i, f32x16_from(source + i * element, cache, isa));
  if (i == count) return;
  char last[64] = {0};
  memcpy(last, source + i * element, (size_t)((count - i) * element));
  f32x16_store(room + i, f32x16_from(last, cache, isa));
}

// Keys [depth][16] of the cache as float32: the cache itself when it is float32.
ANGEL_INLINE const float *convert_keys(
  const char *source, int64_t depth, float *room, angel_dtype cache, angel_isa isa) {
  if (cache == ANGEL_F32) return (const float *)source;
  if (cache == ANGEL_F16) convert_run(source, depth * 16, room, ANGEL_F16, isa);
  if (cache == ANGEL_BF16) convert_run(source, depth * 16, room, ANGEL_BF16, isa);
  return room;
}

// Columns of values [16][size] as float32 [16][strip_depth], padded with zeros to whole vectors.
ANGEL_INLINE void convert_values(
  const char *source, int64_t size, int64_t columns, float *room, angel_dtype cache, angel_isa isa) {
  for (int64_t r = 0; r < 16; r++, room += strip_depth) {
    if (cache == ANGEL_F32) convert_run(source + r * size * 4, columns, room, ANGEL_F32, isa);
    if (cache == ANGEL_F16) convert_run(source + r * size * 2, columns, room, ANGEL_F16, isa);
    if (cache == ANGEL_BF16) convert_run(source + r * size * 2, columns, room, ANGEL_BF16, isa);
  }
}

// scores[q * blocks + b] += sum over d of query[q][d] * keys[b][d][token], for `count` queries and `blocks` blocks.
ANGEL_INLINE void score_strip(
  const float *queries, int64_t stride, const float *const *keys, int64_t depth, float *scores, const int count,
  const int blocks) {
  f32x16 sums[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < count * blocks; i++) sums[i] = f32x16_load(scores + i * 16);
  for (int64_t d = 0; d < depth; d++) {
    const float *query = queries + d * stride;
#pragma clang loop unroll(full)
    for (int b = 0; b < blocks; b++) {
      const f32x16 key = f32x16_load(keys[b] + d * 16);
#pragma clang loop unroll(full)
      for (int q = 0; q < count; q++) {
        sums[q * blocks + b] = f32x16_fma(f32x16_splat(query[q]), key, sums[q * blocks + b]);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count * blocks; i++) f32x16_store(scores + i * 16, sums[i]);
}

ANGEL_INLINE void score_strips(
  const float *queries, int64_t count, const float *const *keys, int64_t depth, float *scores, int64_t blocks,
  angel_isa isa) {
  int64_t q = 0;
  if (blocks == 4 && isa >= ANGEL_ISA_AVX512) {
    if (count == 4) score_strip(queries, count, keys, depth, scores, 4, 4);
    if (count == 3) score_strip(queries, count, keys, depth, scores, 3, 4);
    if (count == 2) score_strip(queries, count, keys, depth, scores, 2, 4);
    if (count == 1) score_strip(queries, count, keys, depth, scores, 1, 4);
    return;
  }
  if (blocks == 4) {
    for (; q < count; q++) score_strip(queries + q, count, keys, depth, scores + q * 64, 1, 4);
    return;
  }
  if (isa >= ANGEL_ISA_AVX512) {
    for (; q + 8 <= count; q += 8) score_strip(queries + q, count, keys, depth, scores + q * 16, 8, 1);
  }
  for (; q + 4 <= count; q += 4) score_strip(queries + q, count, keys, depth, scores + q * 16, 4, 1);
  for (; q + 2 <= count; q += 2) score_strip(queries + q, count, keys, depth, scores + q * 16, 2, 1);
  for (; q < count; q++) score_strip(queries + q, count, keys, depth, scores + q * 16, 1, 1);
}

struct value_strip {
  const float *values;    // [16][value_stride]
  const float *weights;   // [queries][16] by weight_stride
  float *outputs;         // [queries] by output_stride
  const int64_t *from, *to;  // the unmasked tokens of each query
  int64_t value_stride, vectors, weight_stride, output_stride;
};

// outputs[q] = fma(weights[q][token], values[token], outputs[q]) for `count` queries and `vectors` vectors from `v`.
ANGEL_INLINE void value_strip_tokens(
  const struct value_strip *s, int64_t q, int64_t v, int64_t from, int64_t to, const int count, const int vectors) {
  f32x16 sums[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < count * vectors; i++) {
    sums[i] = f32x16_load(s->outputs + (q + i / vectors) * s->output_stride + (v + i % vectors) * 16);
  }
  for (int64_t token = from; token < to; token++) {
    const float *values = s->values + token * s->value_stride + v * 16;
    const float *weights = s->weights + q * s->weight_stride + token;
#pragma clang loop unroll(full)
    for (int i = 0; i < count * vectors; i++) {
      const f32x16 weight = f32x16_splat(weights[i / vectors * s->weight_stride]);
      sums[i] = f32x16_fma(weight, f32x16_load(values + i % vectors * 16), sums[i]);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count * vectors; i++) {
    f32x16_store(s->outputs + (q + i / vectors) * s->output_stride + (v + i % vectors) * 16, sums[i]);
  }
}

// `count` queries: together when each sees the whole block, else one by one over the tokens they see.
ANGEL_INLINE void value_strip_queries(
  const struct value_strip *s, int64_t q, const int count, const int vectors) {
  int whole = 1;
  for (int i = 0; i < count; i++) whole &= s->from[q + i] == 0 && s->to[q + i] == 16;
  int64_t v = 0;
  if (whole) {
    for (; v + vectors <= s->vectors; v += vectors) value_strip_tokens(s, q, v, 0, 16, count, vectors);
    for (; v < s->vectors; v++) value_strip_tokens(s, q, v, 0, 16, count, 1);
    return;
  }
  for (int i = 0; i < count; i++) {
    if (s->from[q + i] >= s->to[q + i]) continue;
    for (v = 0; v + vectors <= s->vectors; v += vectors) {
      value_strip_tokens(s, q + i, v, s->from[q + i], s->to[q + i], 1, vectors);
    }
    for (; v < s->vectors; v++) value_strip_tokens(s, q + i, v, s->from[q + i], s->to[q + i], 1, 1);
  }
}

ANGEL_INLINE void value_strips(const struct value_strip *s, int64_t count, angel_isa isa) {
  int64_t q = 0;
  if (isa >= ANGEL_ISA_AVX512) {
    for (; q + 4 <= count; q += 4) value_strip_queries(s, q, 4, 4);
    if (count - q == 3) value_strip_queries(s, q, 3, 4);
    if (count - q == 2) value_strip_queries(s, q, 2, 4);
    if (count - q == 1) value_strip_queries(s, q, 1, 4);
    return;
  }
  for (; q + 2 <= count; q += 2) value_strip_queries(s, q, 2, 2);
  for (; q < count; q++) value_strip_queries(s, q, 1, 2);
}
