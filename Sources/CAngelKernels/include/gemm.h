// gemm: output[m][n] = bias[n] + sum_k left(m, k) * right(k, n), the dense products of training. dtypes: (left, right,
// output), each f32 or bf16; sums are float32.
// Operands are read by strides, so that the three products of a linear layer y = x Wᵀ are one kernel:
//   y  [rows, outputs]    left = x  [rows, inputs]             right = Wᵀ: right_k = 1, right_n = inputs
//   dx [rows, inputs]     left = dy [rows, outputs]            right = W:  right_k = inputs, right_n = 1
//   dW [outputs, inputs]  left = dyᵀ: left_m = 1, left_k = outputs   right = x:  right_k = inputs, right_n = 1
// Kernel contract: one chain of fused multiply-adds over k ascending, from 0 or, when accumulates is not 0, from the
// output's value; bias is added last. So y has the bits of matmul.h for packed weights of the same values, and no result
// depends on the number of rows, parts or threads.
#pragma once
#include "angel_types.h"

struct angel_gemm_arguments {
  const void *left, *right;  // by strides, in elements
  const void *bias;          // [n] of the output's dtype, or NULL
  void *output;              // [m, n] contiguous
  int64_t m, n, k, left_m, left_k, right_k, right_n;
  int32_t accumulates;
};
