// rmsnorm: output = x * (1/sqrt(mean(x^2) + epsilon)) * weight (arXiv:1910.07467). dtypes: (f32, none, none).
// The mean is summed in 16 interleaved lanes with fused multiply-adds (lane i takes elements i, i+16, ...), then halved
// 8-4-2-1; every instruction set keeps that order. The product is (x * scale) * weight.
// Input and output may be the same memory.
#pragma once
#include "angel_types.h"

struct angel_rmsnorm_arguments {
  const float *input;   // [rows, width]
  const float *weight;  // [width]
  float *output;        // [rows, width]
  int64_t rows, width;
  float epsilon;
};
