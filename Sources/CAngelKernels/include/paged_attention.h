// kv_store: writes new keys and values into their cache blocks. dtypes: (f32, cache, none), cache f32, f16, bf16, q8_0
// or q4_0.
// paged_attention: softmax(scale * q k^T) v over the cached positions of each row's sequence, one row at a time.
// dtypes: (f32, cache, none).
//
// A block holds 16 tokens of all layers. Inside a block the part of one layer, at byte offset layer_offset, is
//   keys   cache [kv_heads][head_size][16]   (token is the fastest axis: a vector lane is a token)
//   values cache [kv_heads][16][head_size]
// A cache of few bits, q8_0 or q4_0, has the keys and the values of a kv head in bundles of ANGEL_BUNDLE_ELEMENTS of
// head_size (the last one may be cut short; its room is not): a bundle is f16 scales [16], one a token, then quants
//   q8_0   keys int8 [32][16], values int8 [16][32]
//   q4_0   keys [16][16] bytes, elements 2i and 2i + 1 of a token in the lower and upper half of byte [i][token];
//          values [16][16] bytes, elements j and j + 16 in those of byte [token][j]; halves are two's complement
// A number is its quant times its scale, exactly, in float32; all below holds for these numbers. The scale of a token's
// elements in a bundle is f16(greatest magnitude / 127) for q8_0, and f16(the element of greatest magnitude / -8) for
// q4_0, the negative one of two; a zero is positive. Quants are the nearest integers to element * (1 / scale), ties to
// even, within -127...127 and -8...7. A token's bytes are a function of that token alone. Where some of its elements in
// a bundle are not finite, or the scale is beyond f16, all are NaN.
// q4_0 holds keys and values rotated: multiplied by a Hadamard matrix over the square root of its size, the greatest
// power of two n <= 32 that divides head_size, in each n elements; level h = 1, 2, 4 ... n/2 takes the pairs (i, i + h)
// to their sum and difference, and the factor comes last. That spreads what stands out in one channel over a bundle
// (arXiv:2404.00456). Queries are rotated before they are scaled, which leaves dot products as they were, and outputs
// at last once more, which undoes it.
//
// A row at position p attends positions max(0, p - window + 1) ... p (window 0: from 0). Query head h reads kv head
// h / (heads / kv_heads). Nothing of size rows x positions is ever stored: flash attention's running maximum, sum and
// output (arXiv:2205.14135), per row over groups of ANGEL_GROUP_TOKENS at fixed absolute positions, ascending.
// Kernel contract: a row's result depends on its query, its position and the cache alone. Weights are powers of two:
// the query is multiplied by scale * log2(e) first (by scale alone when softcap > 0). Per group: scores s_t = dot (one
// fma chain over head_size ascending per token), made cap*log2(e) * tanh(s/cap) when softcap > 0, -inf where masked;
// m' = max(m, max s); correction = 2^(m - m'), exactly 1 where m' = m; p_t = 2^(s_t - m'), so 0 where masked and below
// 2^-126; the 128 p_t are summed over the eight blocks, token by token, as ((b0 + b1) + (b2 + b3)) + ((b4 + b5) +
// (b6 + b7)), then by halving 8-4-2-1; l = fma(l, correction, that sum); o = o*correction, then o = fma(p_t, v_t, o)
// for the unmasked t ascending.
// Masked tokens and wholly masked groups take no part in any arithmetic that reaches o, l or m: their memory may hold
// anything, NaN included. So the first group visited starts from m = -inf, l = 0, o = 0 with a finite m', wherever the
// window begins. A row sees its own position at least, hence l > 0; scores that are not finite make the row NaN.
// Groups form splits of ANGEL_SPLIT_TOKENS at fixed absolute positions, each from m = -inf, l = 0, o = 0. The
// first split with an unmasked token is taken as it is, later ones are merged in ascending order: m'' = max(m, m_s),
// a = 2^(m - m''), b = 2^(m_s - m''), l = fma(l_s, b, l*a), o = fma(o_s, b, o*a). At last output = o * (1 / l). So
// splits of one row may be computed by different parts, and prefill and decode agree bit for bit. Neighbouring rows of
// different sequences whose first splits lie in the same blocks read those together (window 0): what a row gives is the same.
// A row that attends to some blocks only gives what it would if its sequence had those and no others: the blocks that are
// kept, in ascending order, stand at the positions 0 ..., the row's own last.
// Parts of paged_attention own runs of (kv head, row), or of (kv head, split, row) where there is a workspace, equal in
// the number of blocks to visit; those of kv_store own rows, and no two rows of a store may have the same sequence and
// position. Positions are >= 0; heads is a multiple of kv_heads; head_size is 1...ANGEL_HEAD_SIZE_LIMIT.
#pragma once
#include "angel_types.h"
#define ANGEL_BLOCK_TOKENS 16
#define ANGEL_GROUP_TOKENS 128
#define ANGEL_SPLIT_TOKENS 256
#define ANGEL_BUNDLE_ELEMENTS 32
#define ANGEL_HEAD_SIZE_LIMIT 8192

// How rows find their cache. Everything that changes from step to step is read through a pointer, so that a recorded
// launch can be replayed.
struct angel_paged_cache {
  char *arena;                   // base address of the cache's memory
  const int64_t *block_table;    // [sequences, blocks_per_sequence]: byte offset of each block from arena
  const int32_t *row_sequences;  // [rows]: which sequence a row belongs to
  const int32_t *row_positions;  // [rows]: absolute position of a row in its sequence
  int64_t blocks_per_sequence;
  int64_t layer_offset;          // byte offset of this layer inside a block
  int64_t kv_heads, head_size;
};
struct angel_kv_store_arguments {
  const float *keys;    // [rows, kv_heads, head_size], already rotated
  const float *values;  // [rows, kv_heads, head_size]
  struct angel_paged_cache cache;
  int64_t rows;
};
struct angel_paged_attention_arguments {
  const float *queries;  // [rows, heads, head_size], already rotated
  float *output;         // [rows, heads, head_size]
  struct angel_paged_cache cache;
  int64_t rows, heads;
  float scale;
  float softcap;   // 0: none
  int32_t window;  // 0: unlimited
  // Only where the splits of a row shall be computed by different parts (few rows), else both NULL.
  float *partials;    // [rows, heads, splits, head_size + 2], splits = angel_attention_splits(blocks_per_sequence)
  uint32_t *tickets;  // [rows, heads]: splits finished; zero before the launch and after it
  // [kv_heads][rows][1 + angel_choice_words(blocks_per_sequence)]: the blocks of its sequence that a row attends to, as
  // choose_blocks.h leaves them, the row's own among them; 0 blocks: all it sees. NULL: that is so of every row. Not
  // with a window.
  const uint64_t *kept;
};

// How many splits the positions of so many blocks have.
static inline int64_t angel_attention_splits(int64_t blocks) {
  const int64_t split_blocks = ANGEL_SPLIT_TOKENS / ANGEL_BLOCK_TOKENS;
  return (blocks + split_blocks - 1) / split_blocks;
}
