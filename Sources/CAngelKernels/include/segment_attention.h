// segment_attention: output = softmax(scale * q k^T) v inside each of several sequences laid end to end.
// dtypes: (f32, none, none).
// segment_attention_backward: the gradients by q, k and v. dtypes: (f32, none, none).
// Rows bounds[s] ... bounds[s + 1] - 1 are sequence s, which has at least one. A row sees the rows up to itself when causal
// is not 0, else all of its sequence; with window W > 0 only the W rows up to its own and, when not causal, W - 1 after it.
// Query head h reads kv head h / (heads / kv_heads). With softcap > 0 scores become cap * tanh(score / cap).
// Flash attention (arXiv:2205.14135, arXiv:2307.08691): nothing of size rows x rows is stored. `logsumexp` takes the
// logarithm of each row's sum of exponentials, from which the backward pass makes the probabilities again.
// Kernel contract: output has the bits that paged_attention gives over a float32 cache with the same positions: blocks of 16
// rows and splits of ANGEL_SPLIT_TOKENS, counted from the start of the sequence. A row's result depends on its sequence
// alone, not on where that lies or on parts. Backward, with p = exp(s - logsumexp) and D = sum_d dO O (16 interleaved lanes,
// halved 8-4-2-1):
//   ds = p * (dO v - D), times 1 - (s / cap)^2 where capped; products over d are one fma chain, ascending
//   dq = scale * sum over blocks and rows ascending of ds k
//   dv = sum of p dO and dk = scale * sum of ds q, over the heads of the group, then over blocks and rows, ascending
// A key or value that is not finite spoils every row of its sequence that looks at its block of 16.
// Parts own tiles of 16 rows of one head (of one kv head for dk and dv). head_size is at most ANGEL_SEGMENT_HEAD_LIMIT.
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
  const float *queries;        // [rows, heads, head_size]
  const float *keys, *values;  // [rows, kv_heads, head_size]
  float *output;               // [rows, heads, head_size]
  float *logsumexp;            // [rows, heads], or NULL
  struct angel_segment_attention_shape shape;
};
struct angel_segment_attention_backward_arguments {
  const float *queries, *keys, *values, *output, *logsumexp;     // as above
  const float *gradient;                                         // [rows, heads, head_size], by the output
  float *query_gradient, *key_gradient, *value_gradient;         // as queries, keys, values
  struct angel_segment_attention_shape shape;
};
