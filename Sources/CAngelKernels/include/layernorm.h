// layernorm: output = (x - mean) * (1/sqrt(variance + epsilon)) * weight + bias over the last axis (arXiv:1607.06450).
// dtypes: (input, output, none), (f32, f32), (f32, bf16) or (bf16, bf16); one alone stands for both. Arithmetic is float32,
// rounded once. The variance is the mean of (x - mean)^2.
// Both means are summed in 16 interleaved lanes (lane i takes elements i, i+16, ...), the squares with fused
// multiply-adds, then halved 8-4-2-1; every instruction set keeps that order. The result is
// fma((x - mean) * scale, weight, bias). Input and output may be the same memory.
#pragma once
#include "angel_types.h"

struct angel_layernorm_arguments {
  const void *input;           // [rows, width]
  const float *weight, *bias;  // [width]
  void *output;                // [rows, width]
  int64_t rows, width;
  float epsilon;
};
