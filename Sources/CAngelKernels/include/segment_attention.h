// segment_attention: output = softmax(scale * q k^T) v inside each of several sequences laid end to end.
// dtypes: (f32, none, none), (bf16, none, none).
// segment_attention_backward: the gradients by q, k and v. dtypes: the same.
// The dtype is that of queries, keys, values, output and gradients; arithmetic is float32, rounded once when stored.
// Rows bounds[s] ... bounds[s + 1] - 1 are sequence s, which has at least one. A row sees the rows up to itself when causal
// is not 0, else all of its sequence; with window W > 0 only the W rows up to its own and, when not causal, W - 1 after it.
// Query head h reads kv head h / (heads / kv_heads). With softcap > 0 scores become cap * tanh(score / cap).
// Flash attention (arXiv:2205.14135, arXiv:2307.08691): nothing of size rows x rows is stored. `logsumexp` takes the base-2
// logarithm of each row's sum of weights, from which the backward pass makes the probabilities again.
// Kernel contract: output has the bits that paged_attention gives over a cache with the same positions (rounded, for bf16):
// its groups and splits, counted from the start of the sequence. A row's result depends on its sequence alone, not on where
// that lies or on parts. Backward, with s in powers of two and q' the scaled query as there, p = 2^(s - logsumexp) and
// D = sum_d dO O (16 interleaved lanes, halved 8-4-2-1):
//   ds = p * (dO v - D), times 1 - (s / cap)^2 where capped; products over d are one fma chain, ascending
//   dq = scale * sum of ds k, over the rows seen, ascending
//   dk = ln 2 (1 where capped) * sum of ds q' and dv = sum of p dO, over the heads of the group, then over rows, ascending
// Each sum is one fma chain from 0. Forward, what a row does not see takes no part in its result; backward, a number that is
// not finite may spoil the gradients of every row of its sequence.
// Parts own runs of tiles of rows of one kv head forward, of sequences and kv heads, or pieces of them, backward.
// head_size is at most ANGEL_SEGMENT_HEAD_LIMIT.
#pragma once
#include "angel_types.h"
#define ANGEL_SEGMENT_HEAD_LIMIT 512

struct angel_segment_attention_shape {
  const int32_t *bounds;  // [segments + 1]
  int64_t rows, segments, heads, kv_heads, head_size;
  float scale, softcap;
  int32_t window, causal;
};
struct angel_segment_attention_arguments {
  const void *queries;        // [rows, heads, head_size]
  const void *keys, *values;  // [rows, kv_heads, head_size]
  void *output;               // [rows, heads, head_size]
  float *logsumexp;           // [rows, heads], or NULL
  struct angel_segment_attention_shape shape;
};
struct angel_segment_attention_backward_arguments {
  const void *queries, *keys, *values, *output;  // as above
  const float *logsumexp;                        // as above
  const void *gradient;                          // [rows, heads, head_size], by the output
  void *query_gradient, *key_gradient, *value_gradient;  // as queries, keys, values
  float *query_sums;  // [rows, heads, head_size]: room for dq on the way; query_gradient itself where that is float32
  struct angel_segment_attention_shape shape;
};
