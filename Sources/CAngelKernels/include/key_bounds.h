// key_bounds: the greatest and the least of each element of the keys of every block, by which rows choose blocks
// (choose_blocks.h). dtypes: (f32, cache, none).
//
// Of every sequence that has rows with choices, the blocks that lie wholly within the positions up to the last such
// row. In spans of 16 blocks, a lane a block; whatever is not computed keeps what it held:
//   bounds f32 [sequences][kv_heads][spans][2][head_size][16], spans = angel_bound_spans(blocks_per_sequence)
// the greatest first. Keys are the cache's own numbers, of q4_0 rotated. Parts own (sequence, kv head, span).
#pragma once
#include "paged_attention.h"

struct angel_key_bounds_arguments {
  struct angel_paged_cache cache;
  const int32_t *choices;  // [rows]: not 0 where a row chooses its blocks
  float *bounds;
  int64_t rows, sequences;
};

// How many spans of 16 blocks so many blocks have.
static inline int64_t angel_bound_spans(int64_t blocks) {
  return (blocks + ANGEL_BLOCK_TOKENS - 1) / ANGEL_BLOCK_TOKENS;
}
