// layernorm: output = (x - mean) * (1/sqrt(variance + epsilon)) * weight + bias over the last axis (arXiv:1607.06450).
// dtypes: (f32, none, none). The variance is the mean of (x - mean)^2.
// Both means are summed in 16 interleaved lanes (lane i takes elements i, i+16, ...), the squares with fused
// multiply-adds, then halved 8-4-2-1; every instruction set keeps that order. The result is
// fma((x - mean) * scale, weight, bias). Input and output may be the same memory.
#pragma once
#include "angel_types.h"

struct angel_layernorm_arguments {
  const float *input;          // [rows, width]
  const float *weight, *bias;  // [width]
  float *output;               // [rows, width]
  int64_t rows, width;
  float epsilon;
};
