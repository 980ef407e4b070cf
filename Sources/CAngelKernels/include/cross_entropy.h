// cross_entropy: the weighted error of logits against one target a row, and its gradient. dtypes: (f32, gradient, none), where
// the gradient is bf16_rows (quantize_rows.h, rounded half to even) or none for f32.
//   z = log(sum_i exp(x_i));  loss = w (z - (1 - s) x_target - s mean(x) + p z^2),  s smoothing (arXiv:1512.00567, §7),
//   p penalty (arXiv:2204.02311, §5);  dx_i = w ((1 + 2 p z) exp(x_i - z) - (1 - s) [i = target] - s / vocabulary)
// A row of weight 0 has loss 0 and gradient 0 whatever its logits are. Sums over the vocabulary run in 16 interleaved lanes,
// halved 8-4-2-1; z = max + log(sum of exp(x - max)). A row depends on itself alone.
#pragma once
#include "angel_types.h"

struct angel_cross_entropy_arguments {
  const float *logits;     // [rows, vocabulary]
  const int32_t *targets;  // [rows], each in 0..<vocabulary
  const float *weights;    // [rows]
  float *losses;           // [rows]
  void *gradient;          // [rows, vocabulary] float or bf16_rows, or NULL; floats may be the logits' memory
  int64_t rows, vocabulary;
  float smoothing, penalty;
};
