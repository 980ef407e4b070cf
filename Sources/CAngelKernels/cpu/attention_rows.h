// What the inner loops of paged_attention are given: the rows of a group, and the queries of a strip.
#pragma once
#include <string.h>

#include "cache_bundles.h"

enum {
  strip_queries = 6,                                       // queries of a strip, at most
  strip_vectors_limit = 4,                                 // vectors of keys or values of a strip, at most
  group_blocks = ANGEL_GROUP_TOKENS / ANGEL_BLOCK_TOKENS,  // blocks of a group
  split_blocks = ANGEL_SPLIT_TOKENS / ANGEL_BLOCK_TOKENS,  // blocks of a split
};

// Rows of 16 keys, or of values, of the blocks of a group; of a cache of few bits: its bundles.
struct cache_rows {
  const char *blocks[group_blocks];  // the first row of each block
  const char *next[group_blocks];    // the same of the next group, fetched ahead where `ahead` is asked for
  int64_t stride;                    // elements from row to row
};

// Into the L2 cache, which takes more misses at once than the L1 cache: one row at 4,096 positions reads a float16
// cache at 17.7 GB/s instead of 12.4 (Zen 4, one core).
ANGEL_INLINE void fetch_ahead(const char *line) { __builtin_prefetch(line, 0, 2); }

ANGEL_INLINE int64_t cache_element(angel_dtype cache) { return cache == ANGEL_F32 ? 4 : 2; }

// Vectors a strip of `count` queries takes at a time: as many sums as fit the registers.
ANGEL_INLINE int strip_vectors(const int count, const angel_isa isa) {
  if (isa == ANGEL_ISA_SCALAR) return 1;
  if (isa == ANGEL_ISA_AVX512) return 4;
  return count == 1 ? 4 : count <= 3 ? 2 : 1;
}

// Whether products go vector by vector, each with all queries: three queries by two vectors leave AVX2 few registers for
// keys, and a sum that is spilled waits for its own store in every step (1.4 times the time).
ANGEL_INLINE int is_tight(const int count, const int vectors, const angel_isa isa) {
  return isa == ANGEL_ISA_AVX2 && count == 3 && vectors == 2;
}
// Nothing is read ahead of this.
ANGEL_INLINE void keep_order(void) { __asm__ volatile("" ::: "memory"); }

// Weights of `count` queries and their outputs, in the columns of one call.
struct value_strip {
  const float *weights;  // [count][ANGEL_GROUP_TOKENS]
  float *outputs;        // [count] by output_stride
  float *corrections;    // [count]: multiply the outputs first
  int64_t output_stride;
};
