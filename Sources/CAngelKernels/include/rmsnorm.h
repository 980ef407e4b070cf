// rmsnorm: output = x * (1/sqrt(mean(x^2) + epsilon)) * weight (arXiv:1910.07467). dtypes: (input,
// output, none), (f32, f32), (f32, bf16) or (bf16, bf16); one alone stands for both. Arithmetic is float32, rounded once.
// The mean is summed in 16 interleaved lanes with fused multiply-adds (lane i takes elements i, i+16, ...), then halved
// 8-4-2-1; every instruction set keeps that order. The product is (x * scale) * weight.
// Input and output may be the same memory.
#pragma once
#include "angel_types.h"

struct angel_rmsnorm_arguments {
  const void *input;    // [rows, width]
  const float *weight;  // [width]
  void *output;         // [rows, width]
  int64_t rows, width;
  float epsilon;
};
