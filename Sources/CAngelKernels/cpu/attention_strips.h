// The inner loops of paged_attention: strips of a few queries against the keys or values of one group of blocks, kept
// in registers. Per query the order of operations is the contract's; strip sizes only decide what shares a load.
//
// AVX-512 takes 6 queries x 4 vectors: 24 independent sums hide the multiply-adders' latency, and 10 loads feed them.
// Zen 4, one core (multiply-add peak 116 GFLOP/s), 9 query and 3 kv heads of 64, 512 rows at 512: 87 GFLOP/s with a
// float16 cache (60 with one block of 16 at a time), 91 with float32; 128 rows 76 (49); 2,048 rows 91 (68), within a
// window of 256 78 (57). One row at 4,096 positions, float16: 178 us (431).
#pragma once
#include "attention_bundles.h"

// scores[q][token] = sum over d of queries[q][d] * keys[d][token], d ascending, for `blocks` blocks from `first`.
// `resume`: the sums go on from what scores hold.
ANGEL_INLINE void score_blocks(
  const float *queries, int64_t stride, const struct cache_rows *keys, int64_t first, int64_t depth, int resume,
  float *scores, const int count, const int blocks, const angel_dtype cache, const int ahead, const angel_isa isa) {
  f32x16 sums[strip_queries * strip_vectors_limit];
  const char *rows[strip_vectors_limit];
  const int64_t element = cache_element(cache);
  const int tight = is_tight(count, blocks, isa);
  scores += first * ANGEL_BLOCK_TOKENS;
#pragma clang loop unroll(full)
  for (int b = 0; b < blocks; b++) rows[b] = keys->blocks[first + b];
#pragma clang loop unroll(full)
  for (int i = 0; i < count * blocks; i++) {
    float *sum = scores + i / blocks * ANGEL_GROUP_TOKENS + i % blocks * ANGEL_BLOCK_TOKENS;
    sums[i] = resume ? f32x16_load(sum) : f32x16_splat(0);
  }
  for (int64_t d = 0; d < depth; d++) {
    f32x16 key[strip_vectors_limit];
#pragma clang loop unroll(full)
    for (int b = 0; !tight && b < blocks; b++) {
      key[b] = f32x16_from(rows[b] + d * ANGEL_BLOCK_TOKENS * element, cache, isa);
    }
    if (ahead && cache == ANGEL_F32) {
#pragma clang loop unroll(full)
      for (int b = 0; b < blocks; b++) fetch_ahead(keys->next[first + b] + d * 64);
    } else if (ahead) {  // a row is half a cache line: every row fetches for half the blocks
      const int64_t half = (d & 1) * (blocks + 1) / 2;
#pragma clang loop unroll(full)
      for (int b = 0; b < (blocks + 1) / 2; b++) {
        fetch_ahead(keys->next[first + (half + b) % blocks] + d / 2 * 64);
      }
    }
#pragma clang loop unroll(full)
    for (int b = 0; tight && b < blocks; b++) {
      keep_order();
      key[b] = f32x16_from(rows[b] + d * ANGEL_BLOCK_TOKENS * element, cache, isa);
#pragma clang loop unroll(full)
      for (int q = 0; q < count; q++) {
        sums[q * blocks + b] = f32x16_fma(f32x16_splat(queries[q * stride + d]), key[b], sums[q * blocks + b]);
      }
    }
#pragma clang loop unroll(full)
    for (int q = 0; !tight && q < count; q++) {
      const f32x16 query = f32x16_splat(queries[q * stride + d]);
#pragma clang loop unroll(full)
      for (int b = 0; b < blocks; b++) sums[q * blocks + b] = f32x16_fma(query, key[b], sums[q * blocks + b]);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count * blocks; i++) {
    f32x16_store(scores + i / blocks * ANGEL_GROUP_TOKENS + i % blocks * ANGEL_BLOCK_TOKENS, sums[i]);
  }
}

// outputs[q] = outputs[q] * corrections[q], then fma(weights[q][token], values[token], outputs[q]), tokens from ..< to.
ANGEL_INLINE void value_vectors(
  const struct value_strip *s, const struct cache_rows *values, int64_t vector, int64_t from, int64_t to,
  const int count, const int vectors, const angel_dtype cache, const int ahead, const angel_isa isa) {
  f32x16 sums[strip_queries * strip_vectors_limit];
  const int64_t element = cache_element(cache);
  const int tight = is_tight(count, vectors, isa);
  float *outputs = s->outputs + vector * 16;
#pragma clang loop unroll(full)
  for (int i = 0; i < count * vectors; i++) {
    sums[i] = f32x16_load(outputs + i / vectors * s->output_stride + i % vectors * 16) * s->corrections[i / vectors];
  }
  for (int64_t token = from; token < to;) {
    const int64_t block = token / ANGEL_BLOCK_TOKENS, block_end = (block + 1) * ANGEL_BLOCK_TOKENS;
    const int64_t stop = block_end < to ? block_end : to;
    const int64_t offset = (token % ANGEL_BLOCK_TOKENS * values->stride + vector * 16) * element;
    const char *row = values->blocks[block] + offset, *next = values->next[block] + offset;
    for (; token < stop; token++) {
      const float *weights = s->weights + token;
      f32x16 value[strip_vectors_limit];
#pragma clang loop unroll(full)
      for (int v = 0; !tight && v < vectors; v++) value[v] = f32x16_from(row + v * 16 * element, cache, isa);
      if (ahead) {
#pragma clang loop unroll(full)
        for (int64_t line = 0; line < vectors * 16 * element; line += 64) fetch_ahead(next + line);
        next += values->stride * element;
      }
#pragma clang loop unroll(full)
      for (int v = 0; tight && v < vectors; v++) {
        keep_order();
        value[v] = f32x16_from(row + v * 16 * element, cache, isa);
#pragma clang loop unroll(full)
        for (int q = 0; q < count; q++) {
          const f32x16 weight = f32x16_splat(weights[q * ANGEL_GROUP_TOKENS]);
          sums[q * vectors + v] = f32x16_fma(weight, value[v], sums[q * vectors + v]);
        }
      }
      row += values->stride * element;
#pragma clang loop unroll(full)
      for (int q = 0; !tight && q < count; q++) {
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

// Scores of a strip of `count` queries with the blocks first..<last of a group.
ANGEL_INLINE void score_strip(
  const float *queries, int64_t stride, const struct cache_rows *keys, int64_t first, int64_t last, int64_t depth,
  int resume, float *scores, const int count, const angel_dtype cache, const int ahead, const angel_isa isa) {
  const int wide = strip_vectors(count, isa);
#define BLOCKS(n)                                                                                     \
  if (is_bundled(cache)) {                                                                            \
    score_bundles(queries, stride, keys, first, depth, scores, count, n, cache, isa);                 \
  } else {                                                                                            \
    score_blocks(queries, stride, keys, first, depth, resume, scores, count, n, cache, ahead, isa);   \
  }
  for (; first + wide <= last; first += wide) {
    BLOCKS(wide)
  }
  // What a window or the row's own position cuts off. Runs of rows meet it often: they have shapes of their own.
  if (wide == 4 && !ahead && last - first == 3) {
    BLOCKS(3)
  } else if (wide == 4 && !ahead && last - first == 2) {
    BLOCKS(2)
  } else {
    for (; wide > 1 && first < last; first++) {
      BLOCKS(1)
    }
  }
#undef BLOCKS
}

// Values of tokens from ..< to for `count` queries, `vectors` vectors of 16 columns.
ANGEL_INLINE void value_columns(
  const struct value_strip *s, const struct cache_rows *values, int64_t vectors, int64_t from, int64_t to,
  const int count, const angel_dtype cache, const int ahead, const angel_isa isa) {
  const int wide = strip_vectors(count, isa);
  int64_t v = 0;
#define VECTORS(n)                                                          \
  if (is_bundled(cache)) {                                                  \
    value_bundles(s, values, v, from, to, count, n, cache, isa);            \
  } else {                                                                  \
    value_vectors(s, values, v, from, to, count, n, cache, ahead, isa);     \
  }
  for (; v + wide <= vectors; v += wide) {
    VECTORS(wide)
  }
  for (; wide > 1 && v < vectors; v++) {
    VECTORS(1)
  }
#undef VECTORS
}

// call(count) with the count as a constant, so that sums are registers.
#define STRIP_COUNTED(count, call)  \
  switch (count) {                  \
    case 1: call(1); break;         \
    case 2: call(2); break;         \
    case 3: call(3); break;         \
    case 4: call(4); break;         \
    case 5: call(5); break;         \
    default: call(6);               \
  }

// `count` cache elements as float32, padded with zeros to whole vectors.
ANGEL_INLINE void convert_run(const char *source, int64_t count, float *room, angel_dtype cache, angel_isa isa) {
  const int64_t element = cache_element(cache);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) f32x16_store(room + i, f32x16_from(source + i * element, cache, isa));
  if (i == count) return;
  char last[64] = {0};
  memcpy(last, source + i * element, (size_t)((count - i) * element));
  f32x16_store(room + i, f32x16_from(last, cache, isa));
}

// `rows` rows of `count` elements, `stride` elements apart, as float32 rows `room_stride` apart.
ANGEL_INLINE void convert_rows(
  const char *source, int64_t stride, int64_t rows, int64_t count, float *room, int64_t room_stride, angel_dtype cache,
  angel_isa isa) {
  for (int64_t r = 0; r < rows; r++, room += room_stride) {
    if (cache == ANGEL_F32) convert_run(source + r * stride * 4, count, room, ANGEL_F32, isa);
    if (cache == ANGEL_F16) convert_run(source + r * stride * 2, count, room, ANGEL_F16, isa);
    if (cache == ANGEL_BF16) convert_run(source + r * stride * 2, count, room, ANGEL_BF16, isa);
  }
}

// The transpose of 16 rows of 16 elements, as float32.
ANGEL_INLINE void transpose_square(
  const void *source, int64_t stride, float *target, int64_t target_stride, const angel_dtype dtype, angel_isa isa) {
  const char *start = source;
  f32x16 rows[16], next[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) rows[i] = f32x16_from(start + i * stride * cache_element(dtype), dtype, isa);
  // Four perfect shuffles: each interleaves rows i and i + 8.
#pragma clang loop unroll(full)
  for (int round = 0; round < 4; round++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
      next[2 * i] = __builtin_shufflevector(
        rows[i], rows[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(
        rows[i], rows[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) rows[i] = next[i];
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) f32x16_store(target + i * target_stride, rows[i]);
}
