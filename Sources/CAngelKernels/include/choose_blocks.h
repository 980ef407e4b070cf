// choose_blocks: which blocks of a long sequence a row attends to, by what its queries may find there at most.
// dtypes: (f32, cache, none).
//
// A row with a choice has one for each kv head, from its query heads of that kv head, its position and the keys of
// whole blocks up to it: nothing else, so it is the same in every batch and chunk. No query * key of a block is above
//   sum over d of max(q_d, 0) * greatest_d, then of min(q_d, 0) * least_d     (one fma chain; arXiv:2406.10774, §3.3)
// with queries rotated, scaled and capped as paged_attention.h has them. Per query head 2^(bound - greatest bound) is
// taken as a block's weight, and divided by the sum over all blocks; a block's share e is the sum over the query heads.
// Kept are the first block, the last ANGEL_LOCAL_BLOCKS up to the row's own, and of the others those of the greatest
// shares until what is kept has `share` of the sum of all (arXiv:2502.02770): all with e >= t, where t is the greatest
// float, of those that ANGEL_CHOICE_STEPS halvings of the bits between 0 and the number of heads try, with which that
// is so. Sums go over sixteen lanes, block i in lane i % 16, then by halving. Where shares are not finite, or `share` is
// 1, all are kept.
//
// kept [kv_heads][rows][1 + words], words = angel_choice_words(blocks_per_sequence): how many blocks are kept, then a
// bit for each block of the sequence, the lowest of a word first. 0 where a row has no choice, or all blocks are kept:
// then the bits mean nothing. Parts own (kv head, row). Positions are below ANGEL_CHOICE_LIMIT.
#pragma once
#include "key_bounds.h"

#define ANGEL_LOCAL_BLOCKS 8
#define ANGEL_CHOICE_STEPS 16
#define ANGEL_CHOICE_LIMIT 131072

struct angel_choose_blocks_arguments {
  const float *queries;  // [rows, heads, head_size], already rotated
  struct angel_paged_cache cache;
  const int32_t *choices;  // [rows]: not 0 where a row chooses its blocks
  const float *bounds;     // as key_bounds leaves them
  uint64_t *kept;
  int64_t rows, heads;
  float scale;
  float softcap;  // 0: none
  float share;    // above 0, at most 1
};

// Words that have a bit for each of so many blocks.
static inline int64_t angel_choice_words(int64_t blocks) { return (blocks + 63) / 64; }
