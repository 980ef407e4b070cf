// low_rank: what low-rank adapters beside a linear layer make of its product (LoRA, arXiv:2106.09685, §4.1; with `scales`
// DoRA, arXiv:2402.09353, equation 5), each row with an adapter of its own. dtypes: (f32, none, none).
//   inner[j] = scale * (input[r] . down[j]);  y = product[r] + sum_j inner[j] * up[j];  output[r] = y * scales + bias
// of adapter adapters[row_adapters[r]]; a row whose number is negative, or whose adapter has rank 0, gets product[r] + bias.
// Adapters differ in rank and dtype (f32, f16, bf16); both arrays of numbers are read when the kernel runs, so that a
// recorded step finds what stands in them by then. Rows of one adapter that lie together read it once for sixteen; both
// matrices are packed in the order of reading, so that rows with an adapter each stream them.
// Kernel contract: a row's result depends on that row and its adapter alone. input . down in 16 interleaved lanes, ascending,
// then halved 8-4-2-1, then times scale; y in one chain of fused multiply-adds over j ascending, from product[r]. Parts
// split rows. output may be product; nothing else overlaps.
#pragma once
#include "angel_types.h"

struct angel_low_rank_adapter {
  const void *down;     // A [rank, inputs] as [rank / 4, inputs / 16, 4, 16], rounded up and padded with zeros
  const void *up;       // Bᵀ [rank, outputs] as [outputs / 16, rank, 16], likewise
  const float *scales;  // [outputs], or NULL for ones
  float scale;
  int32_t rank, dtype;
};
struct angel_low_rank_arguments {
  const float *input;    // [rows, inputs]
  const float *product;  // [rows, outputs]
  const float *bias;     // [outputs], or NULL
  float *output;         // [rows, outputs]
  const struct angel_low_rank_adapter *adapters;
  const int32_t *row_adapters;  // [rows]
  int64_t rows, inputs, outputs;
};
