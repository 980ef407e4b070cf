// segment_attention: output = softmax(scale * q k^T) v inside each of several sequences laid end to end.
// dtypes: (f32, none, none).
// Rows bounds[s] ... bounds[s + 1] - 1 are sequence s. Row r of it sees the rows up to itself when causal is not 0, else
// all of its sequence; with window W > 0 only the W rows up to its own and, when not causal, W - 1 after it. Query head h
// reads kv head h / (heads / kv_heads). With softcap > 0 scores become cap * tanh(score / cap).
// Flash attention (arXiv:2205.14135): nothing of size rows x rows is stored. `logsumexp` takes the logarithm of each
// row's sum of exponentials, from which the backward pass makes the probabilities again.
#pragma once
#include "angel_types.h"

struct angel_segment_attention_arguments {
  const float *queries;        // [rows, heads, head_size]
  const float *keys, *values;  // [rows, kv_heads, head_size]
  const int32_t *bounds;       // [segments + 1]
  float *output;               // [rows, heads, head_size]
  float *logsumexp;            // [rows, heads], or NULL
  int64_t rows, segments, heads, kv_heads, head_size;
  float scale, softcap;
  int32_t window, causal;
};
